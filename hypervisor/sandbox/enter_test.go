package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The variables that make the test binary a confined process: what it does there, and its folder.
const (
	actVar = "GOZEN_SANDBOX_ACT"
	dirVar = "GOZEN_SANDBOX_DIR"
)

func TestMain(m *testing.M) {
	if act := os.Getenv(actVar); act != "" {
		confined(act, os.Getenv(dirVar))
	}
	os.Exit(m.Run())
}

// confined enters the sandbox, does one thing and exits with 0 if that was possible.
func confined(act, dir string) {
	for range 3 { // threads from before
		ready := make(chan bool)
		go func() { runtime.LockOSThread(); ready <- true; select {} }()
		<-ready
	}
	s := Enter(Config{Network: strings.HasPrefix(act, "network"), Paths: []Path{{Name: dir, Access: Own}, {Name: "/proc/self", Access: Read}, {Name: "/dev/null", Access: Device}, {Name: "/no/such/device", Access: Device}}})
	if !s.Seccomp {
		fmt.Println("skip:", s.Missing)
		os.Exit(3)
	}
	if f := acts[act]; f != nil {
		if err := f(dir); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	fmt.Printf("alive; landlock %d, missing %q\n", s.Landlock, s.Missing)
	os.Exit(0)
}

func call(n uintptr, args ...uintptr) error {
	a := append(args, make([]uintptr, 6)...)
	_, _, e := unix.RawSyscall6(n, a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return e
	}
	return nil
}

const blockedSIGSYS = 1 << (uint(unix.SIGSYS) - 1)

// blockSIGSYS is what an attacker would do so that the signal does not come.
func blockSIGSYS() error {
	set := unix.Sigset_t{}
	set.Val[0] = blockedSIGSYS
	return unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
}

// acts are what a confined process can be made to do.
var acts = map[string]func(dir string) error{
	"status":       status,
	"work":         work,
	"landlock":     outside,
	"network":      network,
	"network-fork": func(string) error { return call(unix.SYS_CLONE, uintptr(unix.SIGCHLD)) },
	"execve":       func(string) error { return unix.Exec("/bin/true", []string{"true"}, nil) },
	"fork":         func(string) error { return call(unix.SYS_CLONE, uintptr(unix.SIGCHLD)) },
	"socket":       func(string) error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); return err },
	"ptrace":       func(string) error { return call(unix.SYS_PTRACE, 16, 1) },
	"io_uring":     func(string) error { return call(unix.SYS_IO_URING_SETUP, 8) },
	"mmap":         func(string) error { _, err := unix.Mmap(-1, 0, 4096, 7, unix.MAP_PRIVATE|unix.MAP_ANON); return err },
	"kill":         func(string) error { return unix.Kill(os.Getppid(), 0) },
	"tiocsti":      func(string) error { return unix.IoctlSetInt(0, unix.TIOCSTI, 0) },
	"setrlimit":    func(string) error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) },
	"unknown":      func(string) error { return call(100000) },
	"unnamed":      func(string) error { return call(maxCalls - 1) },
	"munmap":       func(string) error { return call(unix.SYS_MUNMAP, trapPC()&^4095, 4096) },
	"mprotect":     func(string) error { return call(unix.SYS_MPROTECT, trapPC()&^4095, 4096, 0) },
	"otherthread": func(string) error {
		done := make(chan error)
		go func() { runtime.LockOSThread(); done <- call(unix.SYS_PTRACE, 16, 1) }()
		return <-done
	},
	// Ways to get around the handler.
	"ignore": func(string) error { return call(unix.SYS_RT_SIGACTION, uintptr(unix.SIGSYS), 0, 0, 8) },
	"blocked": func(string) error {
		runtime.LockOSThread()
		return errors.Join(blockSIGSYS(), call(unix.SYS_PTRACE, 16, 1))
	},
	"signal": func(string) error { defer time.Sleep(10 * time.Second); return unix.Kill(os.Getpid(), unix.SIGSYS) },
}

func act(t *testing.T, name string) (string, syscall.WaitStatus) {
	t.Helper()
	c := exec.Command(os.Args[0])
	dir := t.TempDir()
	c.Env = append(os.Environ(), actVar+"="+name, dirVar+"="+dir)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	ws := c.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Exited() && ws.ExitStatus() == 3 {
		t.Skipf("this host, or this build, cannot filter system calls: %s", out.String())
	}
	return out.String(), ws
}

func TestEnter_forbidden(t *testing.T) {
	tests := []struct{ act, want string }{
		{"execve", fmt.Sprintf("system call execve (%d) is not allowed\n", unix.SYS_EXECVE)},
		{"socket", fmt.Sprintf("system call socket (%d) is not allowed\n", unix.SYS_SOCKET)},
		{"ptrace", fmt.Sprintf("system call ptrace (%d) is not allowed\n", unix.SYS_PTRACE)},
		{"io_uring", "system call io_uring_setup (425) is not allowed\n"},
		{"mmap", fmt.Sprintf("system call mmap (%d) is not allowed\n", unix.SYS_MMAP)},
		{"kill", fmt.Sprintf("system call kill (%d) is not allowed\n", unix.SYS_KILL)},
		{"tiocsti", fmt.Sprintf("system call ioctl (%d) is not allowed\n", unix.SYS_IOCTL)},
		{"setrlimit", fmt.Sprintf("system call prlimit64 (%d) is not allowed\n", unix.SYS_PRLIMIT64)},
		{"otherthread", fmt.Sprintf("system call ptrace (%d) is not allowed\n", unix.SYS_PTRACE)},
		{"unknown", "a system call of unknown number is not allowed\n"},
		{"unnamed", "system call number (511) is not allowed\n"},
		{"munmap", fmt.Sprintf("system call munmap (%d) is not allowed\n", unix.SYS_MUNMAP)},
		{"mprotect", fmt.Sprintf("system call mprotect (%d) is not allowed\n", unix.SYS_MPROTECT)},
		{"fork", fmt.Sprintf("system call clone (%d) is not allowed\n", unix.SYS_CLONE)},
		{"network-fork", fmt.Sprintf("system call clone (%d) is not allowed\n", unix.SYS_CLONE)},
		{"ignore", ""}, {"blocked", ""},
		{"signal", "killed by a signal that another process sent (SIGSYS)\n"},
	}
	for _, tt := range tests {
		t.Run(tt.act, func(t *testing.T) {
			out, ws := act(t, tt.act)
			if !ws.Signaled() || ws.Signal() != syscall.SIGSYS {
				t.Errorf("status %#x, want death by SIGSYS", uint32(ws))
			}
			if !strings.HasSuffix(out, tt.want) || strings.Contains(out, "alive") || tt.want == "" && out != "" {
				t.Errorf("it printed %q, want %q at the end", out, tt.want)
			}
		})
	}
}

func TestEnter_allowed(t *testing.T) {
	for _, name := range []string{"status", "work", "landlock", "network"} {
		t.Run(name, func(t *testing.T) {
			out, ws := act(t, name)
			if !ws.Exited() || ws.ExitStatus() != 0 {
				t.Errorf("status %#x: %s", uint32(ws), out)
			}
			t.Log(strings.TrimSpace(out))
		})
	}
}

// status wants every thread confined, those from before and new ones.
func status(string) error {
	for range 3 {
		go func() { runtime.LockOSThread(); time.Sleep(time.Minute) }()
	}
	time.Sleep(10 * time.Millisecond)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	if len(tasks) < 7 {
		return fmt.Errorf("only %d threads", len(tasks))
	}
	for _, task := range tasks {
		b, err := os.ReadFile(filepath.Join("/proc/self/task", task.Name(), "status"))
		if err != nil {
			return err
		}
		for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n",
			"CapInh:\t0000000000000000\n", "CapAmb:\t0000000000000000\n"} {
			if !bytes.Contains(b, []byte(want)) {
				return fmt.Errorf("thread %s lacks %q", task.Name(), want)
			}
		}
	}
	return nil
}

// work does what a domain process does: threads, timers, files, a socket, garbage collection.
func work(dir string) error {
	old := filepath.Join(dir, "a")
	if err := os.WriteFile(old, []byte("x"), 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		return err
	}
	if err := os.Rename(old, filepath.Join(dir, "sub", "b")); err != nil {
		return err
	}
	// By hand: package net would link C code where there is a compiler.
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Bind(l, &unix.SockaddrUnix{Name: filepath.Join(dir, "s")}), unix.Listen(l, 1), unix.Close(l))
	}
	if err != nil {
		return err
	}
	runtime.GC()
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Max > openFiles {
		return fmt.Errorf("open files: %v %v", lim, err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	if !bufio.NewScanner(f).Scan() {
		return errors.New("smaps is empty")
	}
	time.Sleep(time.Millisecond)
	return os.RemoveAll(filepath.Join(dir, "sub"))
}

// network connects, to nobody, with each kind of socket, and is refused others without harm.
func network(string) error {
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 1, Addr: [4]byte{127, 0, 0, 1}}); err != nil && err != unix.ECONNREFUSED {
			return fmt.Errorf("connect: %w", err)
		}
		_ = unix.Close(fd)
	}
	for _, family := range []int{unix.AF_UNIX, unix.AF_NETLINK, unix.AF_PACKET} {
		if _, err := unix.Socket(family, unix.SOCK_RAW, 0); err != unix.EAFNOSUPPORT {
			return fmt.Errorf("a socket of family %d: %v", family, err)
		}
	}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &lim); err != nil || lim.Max > dataSize {
		return fmt.Errorf("memory: %v %v", lim, err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &lim); err != nil || lim.Max > fileSize {
		return fmt.Errorf("files: %v %v", lim, err)
	}
	return nil
}

// outside wants files beyond the configured paths out of reach, where the host has Landlock.
func outside(dir string) error {
	if _, err := os.Open("/proc/1/cmdline"); err == nil {
		fmt.Println("this host has no Landlock")
		return nil
	}
	for _, p := range []string{"/etc/passwd", "/proc/1/status", "/proc/meminfo", filepath.Dir(dir)} {
		if f, err := os.Open(p); !errors.Is(err, os.ErrPermission) {
			if err == nil {
				f.Close()
			}
			return fmt.Errorf("open %s: %v, want permission denied", p, err)
		}
	}
	if err := os.WriteFile("/proc/self/mem", nil, 0); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("write to the process's own memory: %v, want permission denied", err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "x"), nil, 0o600); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("write outside: %v, want permission denied", err)
	}
	return nil
}

// BenchmarkEnter shows what the sandbox costs at the start of a process: the difference between a child that enters it and one
// that does nothing. Compare it with -benchtime 200x.
func BenchmarkEnter(b *testing.B) {
	for _, name := range []string{"enter", "nothing"} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for range b.N {
				c := exec.Command(os.Args[0], "-test.run=^$")
				if name == "enter" {
					c.Env = append(os.Environ(), actVar+"=none", dirVar+"="+dir)
				}
				if err := c.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
