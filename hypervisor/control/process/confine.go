package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/sandbox"
)

// spareTasks bounds the threads of a domain process beyond its vCPUs.
const spareTasks = 512

// confine puts this process into its sandbox. What it needs of the host for the rest of its life, restarts of the domain included, is listed here.
func confine(cfg *config.Domain, root string) *control.Sandbox {
	if cfg.NoSandbox {
		return &control.Sandbox{Off: true}
	}
	paths := []sandbox.Path{
		{Name: root, Access: sandbox.Own},
		{Name: "/proc/self", Access: sandbox.Read}, // smaps, for what the domain costs
		{Name: "/dev/kvm", Access: sandbox.Device},
		// What engine/kvm asks of the host, at each start of a domain.
		{Name: "/proc/cpuinfo", Access: sandbox.Read},
		{Name: "/proc/cmdline", Access: sandbox.Read},
		{Name: "/sys/devices/system/clocksource", Access: sandbox.Read},
		{Name: "/dev/ptmx", Access: sandbox.Device},
		{Name: "/dev/pts", Access: sandbox.Device},
		{Name: "/dev/null", Access: sandbox.Device},
	}
	if cfg.MemoryBacking == config.BackingHuge {
		paths = append(paths, sandbox.Path{Name: "/sys/kernel/mm/hugepages", Access: sandbox.Read}) // to say how many are missing
	}
	for _, f := range []string{cfg.Kernel, cfg.Ramdisk, cfg.BIOS()} {
		if f != "" {
			paths = append(paths, sandbox.Path{Name: f, Access: sandbox.Read})
		}
	}
	s := sandbox.Enter(sandbox.Config{Paths: paths})
	return &control.Sandbox{NoNewPrivs: s.NoNewPrivs, NoCapabilities: s.NoCapabilities, Limits: s.Limits, Landlock: s.Landlock,
		Seccomp: s.Seccomp, Cgroup: s.Cgroup, Missing: s.Missing}
}

// held keeps the files of the configuration open from before the sandbox, which has no power over other people's files and lets a path
// lead to no other file than it did then.
type held struct {
	mu    sync.Mutex
	files map[string]*os.File
	used  map[string]bool
	disks []heldDisk
	links []heldLink
}

func hold(cfg *config.Domain) *held {
	h := &held{files: map[string]*os.File{}, used: map[string]bool{}}
	h.openDevices(cfg)
	for _, p := range []string{cfg.Kernel, cfg.Ramdisk, cfg.BIOS()} {
		// Not to wait for a pipe's writer. What cannot be opened is reported by who needs it.
		if f, err := os.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0); p != "" && err == nil {
			h.files[p] = f
		}
	}
	return h
}

// open opens a file of the configuration: the one at path, else the one that was there when the process started.
func (h *held) open(path string, warn func(string)) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	h.mu.Lock()
	defer h.mu.Unlock()
	old, again := h.files[path], h.used[path]
	h.used[path] = true
	if !errors.Is(err, fs.ErrPermission) || old == nil {
		return f, err
	}
	if again {
		warn(fmt.Sprintf("%s is out of the sandbox's reach by now (was it replaced?): the domain starts again from the file as it was; destroy and create takes the new one", path))
	}
	fd, err := duplicate(old)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func duplicate(f *os.File) (int, error) { return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0) }
