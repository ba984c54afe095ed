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
	"gozen/hypervisor/disk"
	"gozen/hypervisor/link"
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
	disks map[string]heldDisk
	links map[int]openedLink
	used  map[string]bool
}

// heldDisk is what a disk is on, or why there is none: a file, or the image of a process that reads it.
type heldDisk struct {
	file   *os.File
	served *disk.NBD
	err    error
}

func hold(cfg *config.Domain) *held {
	h := &held{files: map[string]*os.File{}, disks: map[string]heldDisk{}, links: map[int]openedLink{}, used: map[string]bool{}}
	for _, d := range cfg.Disks {
		if d.Path == "" {
			continue
		}
		var held heldDisk
		held.file, held.err = OpenDisk(d)
		if held.err == nil && d.Served() {
			held.served, held.err = disk.NewNBD(held.file, d.ReadOnly)
		}
		h.disks[d.Vdev] = held
	}
	for _, n := range cfg.NICs {
		l := openLink(n, cfg.VCPUs, cfg.NoSandbox)
		h.links[n.ID] = l
		if l.network != nil {
			go l.network.mourn(n.ID)
		}
	}
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

// nic gives the files of a network device, which are the same for the whole life of the process.
func (h *held) nic(n config.NIC) (name string, files []*os.File, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, ok := h.links[n.ID]
	if !ok {
		return "", nil, errors.New("it was not there when the process started")
	}
	if l.err != nil {
		return "", nil, l.err
	}
	for _, f := range l.files {
		fd, err := duplicate(f)
		if err != nil {
			link.CloseAll(files)
			return "", nil, err
		}
		files = append(files, os.NewFile(uintptr(fd), f.Name()))
	}
	return l.name, files, nil
}

// disk gives a disk's image, which is on the same file for the whole life of the process: with it goes the lock against other domains.
func (h *held) disk(d config.Disk) (disk.Image, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, ok := h.disks[d.Vdev]
	switch {
	case !ok:
		return nil, errors.New("it was not there when the process started")
	case held.err != nil:
		return nil, held.err
	case held.served != nil:
		return lasting{held.served}, nil
	}
	fd, err := duplicate(held.file)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: d.Path, Err: err}
	}
	return disk.NewRaw(os.NewFile(uintptr(fd), d.Path), d.ReadOnly)
}

// lasting is an image that outlives the domains of this process: its connection cannot be made anew from within the sandbox.
type lasting struct{ *disk.NBD }

// Close leaves it open. Nothing is under way any more: devices end before their images.
func (lasting) Close() error { return nil }
