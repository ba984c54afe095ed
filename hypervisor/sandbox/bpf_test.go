package sandbox

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// run is a classic BPF interpreter for what compile makes (linux filter.h).
func run(t *testing.T, p []unix.SockFilter, arch, number uint32, args [6]uint64) uint32 {
	t.Helper()
	data := binary.LittleEndian.AppendUint32(nil, number)
	data = binary.LittleEndian.AppendUint32(data, arch)
	data = binary.LittleEndian.AppendUint64(data, 0x401000) // instruction_pointer
	for _, a := range args {
		data = binary.LittleEndian.AppendUint64(data, a)
	}
	var acc uint32
	for pc := 0; pc < len(p); pc++ {
		switch in := p[pc]; in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			acc = binary.LittleEndian.Uint32(data[in.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			acc &= in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if acc == in.K {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d: code %#x", pc, in.Code)
		}
	}
	t.Fatal("the program runs off its end")
	return 0
}

const (
	testPID  = 1234
	testText = 0x5555
	goHeap   = 0xc000000000
)

func TestRules(t *testing.T) {
	const (
		allow  = unix.SECCOMP_RET_ALLOW
		trap   = unix.SECCOMP_RET_TRAP
		kill   = unix.SECCOMP_RET_KILL_PROCESS
		enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
		text   = testText<<32 | 0x401000
		fixed  = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED
	)
	p := compile(auditArch, rules(facts{pid: testPID, text: testText}))
	tests := []struct {
		name   string
		number uint32
		args   [6]uint64
		want   uint32
	}{
		{"read", unix.SYS_READ, [6]uint64{3}, allow},
		{"exit_group", unix.SYS_EXIT_GROUP, [6]uint64{}, allow},
		{"execve", unix.SYS_EXECVE, [6]uint64{}, trap},
		{"execveat", unix.SYS_EXECVEAT, [6]uint64{}, trap},
		{"ptrace", unix.SYS_PTRACE, [6]uint64{}, trap},
		{"io_uring", unix.SYS_IO_URING_SETUP, [6]uint64{}, trap},
		{"seccomp", unix.SYS_SECCOMP, [6]uint64{}, trap},
		{"connect", unix.SYS_CONNECT, [6]uint64{}, trap},
		{"clone3", unix.SYS_CLONE3, [6]uint64{}, enosys},
		{"no such number", 100000, [6]uint64{}, trap},
		{"x32", 0x40000000 | unix.SYS_READ, [6]uint64{}, trap},

		{"KVM_RUN", unix.SYS_IOCTL, [6]uint64{5, 0xae80}, allow},
		{"KVM_CREATE_VM, upper half ignored as the kernel does", unix.SYS_IOCTL, [6]uint64{5, 0xffffffff0000ae01}, allow},
		{"KVM_SET_USER_MEMORY_REGION", unix.SYS_IOCTL, [6]uint64{5, 0x4020ae46}, allow},
		{"TCSETS", unix.SYS_IOCTL, [6]uint64{0, unix.TCSETS}, allow},
		{"TIOCSTI", unix.SYS_IOCTL, [6]uint64{0, unix.TIOCSTI}, trap},
		{"TUNSETIFF", unix.SYS_IOCTL, [6]uint64{0, unix.TUNSETIFF}, trap},

		{"thread", unix.SYS_CLONE, [6]uint64{threadFlags}, allow},
		{"process", unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, trap},
		{"thread in a user namespace", unix.SYS_CLONE, [6]uint64{threadFlags | unix.CLONE_NEWUSER}, trap},
		{"thread with an upper bit", unix.SYS_CLONE, [6]uint64{1<<32 | threadFlags}, trap},

		{"mmap", unix.SYS_MMAP, [6]uint64{0, 4096, 3, unix.MAP_PRIVATE}, allow},
		{"mmap of code", unix.SYS_MMAP, [6]uint64{0, 4096, 5, unix.MAP_PRIVATE}, trap},
		{"mmap fixed in the heap", unix.SYS_MMAP, [6]uint64{goHeap, 4096, 3, fixed}, allow},
		{"mmap fixed over the program", unix.SYS_MMAP, [6]uint64{text, 4096, 3, fixed}, trap},
		{"mprotect", unix.SYS_MPROTECT, [6]uint64{goHeap, 4096, 3}, allow},
		{"mprotect of the program", unix.SYS_MPROTECT, [6]uint64{text, 4096, 1}, trap},
		{"mprotect to code", unix.SYS_MPROTECT, [6]uint64{goHeap, 4096, 4}, trap},
		{"munmap", unix.SYS_MUNMAP, [6]uint64{goHeap, 4096}, allow},
		{"munmap of the program", unix.SYS_MUNMAP, [6]uint64{text, 4096}, trap},
		{"mremap", unix.SYS_MREMAP, [6]uint64{}, trap},

		{"tgkill here", unix.SYS_TGKILL, [6]uint64{testPID, 7, 23}, allow},
		{"tgkill elsewhere", unix.SYS_TGKILL, [6]uint64{1, 1, 9}, trap},
		{"kill everything", unix.SYS_KILL, [6]uint64{1<<32 - 1, 9}, trap},
		{"sigaction SIGURG", unix.SYS_RT_SIGACTION, [6]uint64{23}, allow},
		{"sigaction SIGSYS", unix.SYS_RT_SIGACTION, [6]uint64{31}, kill},
		{"sigaction SIGSYS, with an upper half", unix.SYS_RT_SIGACTION, [6]uint64{1<<32 | 31}, kill},
		{"unix stream socket", unix.SYS_SOCKET, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}, allow},
		{"unix datagram socket", unix.SYS_SOCKET, [6]uint64{unix.AF_UNIX, unix.SOCK_DGRAM}, trap},
		{"internet socket", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM}, trap},
		{"name a thread", unix.SYS_PRCTL, [6]uint64{unix.PR_SET_NAME}, allow},
		{"become dumpable", unix.SYS_PRCTL, [6]uint64{unix.PR_SET_DUMPABLE, 1}, trap},
		{"read a limit", unix.SYS_PRLIMIT64, [6]uint64{0, 7, 0, goHeap}, allow},
		{"set a limit", unix.SYS_PRLIMIT64, [6]uint64{0, 7, goHeap, 0}, trap},
		{"duplicate", unix.SYS_FCNTL, [6]uint64{3, unix.F_DUPFD_CLOEXEC}, allow},
		{"own a signal", unix.SYS_FCNTL, [6]uint64{3, unix.F_SETOWN, 1}, trap},
	}
	for _, tt := range tests {
		if got := run(t, p, auditArch, tt.number, tt.args); got != tt.want {
			t.Errorf("%s: verdict %#x, want %#x", tt.name, got, tt.want)
		}
		if got := run(t, p, auditArch^1, tt.number, tt.args); got != trap {
			t.Errorf("%s, other architecture: verdict %#x, want a trap", tt.name, got)
		}
	}
	if len(p) > 4096 { // BPF_MAXINSNS
		t.Errorf("%d instructions are more than the kernel takes", len(p))
	}
}

// TestRules_network looks at what is different for a process with a network.
func TestRules_network(t *testing.T) {
	const (
		allow = unix.SECCOMP_RET_ALLOW
		trap  = unix.SECCOMP_RET_TRAP
		none  = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
	)
	p := compile(auditArch, rules(facts{pid: testPID, text: testText, network: true}))
	for _, tt := range []struct {
		name   string
		number uint32
		args   [6]uint64
		want   uint32
	}{
		{"connect", unix.SYS_CONNECT, [6]uint64{3}, allow},
		{"TCP", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}, allow},
		{"UDP over IPv6", unix.SYS_SOCKET, [6]uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}, allow},
		{"SCTP", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}, none},
		{"echo", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP}, none},
		{"raw", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_RAW}, none},
		{"unix", unix.SYS_SOCKET, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}, none},
		{"netlink", unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW}, none},
		{"packet", unix.SYS_SOCKET, [6]uint64{unix.AF_PACKET, unix.SOCK_RAW}, none},
		{"KVM_RUN", unix.SYS_IOCTL, [6]uint64{5, 0xae80}, trap},
		{"execve", unix.SYS_EXECVE, [6]uint64{}, trap},
		{"process", unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, trap},
	} {
		if got := run(t, p, auditArch, tt.number, tt.args); got != tt.want {
			t.Errorf("%s: verdict %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

// TestRules_once: a second rule for a number would never be reached.
func TestRules_once(t *testing.T) {
	for _, network := range []bool{false, true} {
		seen := map[uint32]bool{}
		for _, r := range rules(facts{network: network}) {
			if seen[r.number] {
				t.Errorf("two rules for %s (%d)", CallName(r.number), r.number)
			}
			seen[r.number] = true
		}
	}
}

func TestCallName(t *testing.T) {
	for n, want := range map[uint32]string{unix.SYS_EXECVE: "execve", unix.SYS_PTRACE: "ptrace", unix.SYS_IO_URING_SETUP: "io_uring_setup", 100000: ""} {
		if got := CallName(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if len(callNames) > maxCalls {
		t.Errorf("%d names, the handler has lines for %d", len(callNames), maxCalls)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(uint32(unix.SYS_IOCTL), uint64(0), uint64(0xae80), uint64(0), uint64(0))
	f.Add(uint32(unix.SYS_MMAP), uint64(0), uint64(4096), uint64(7), uint64(0x22))
	p := compile(auditArch, rules(facts{pid: testPID, text: testText}))
	f.Fuzz(func(t *testing.T, number uint32, a, b, c, d uint64) {
		v := run(t, p, auditArch, number, [6]uint64{a, b, c, d})
		if v != unix.SECCOMP_RET_ALLOW {
			return
		}
		switch number {
		case unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_BPF, unix.SYS_MOUNT, unix.SYS_UNSHARE:
			t.Errorf("call %d passes", number)
		case unix.SYS_MMAP, unix.SYS_MPROTECT:
			if c&unix.PROT_EXEC != 0 {
				t.Errorf("call %d makes memory executable", number)
			}
		}
	})
}
