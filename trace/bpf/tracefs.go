package bpf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Tracefs is the kernel's directory of tracepoints. Close gives it back.
type Tracefs struct {
	root string
	// Private says that it is mounted nowhere: it was made for this process alone, and goes with it.
	Private bool
	fd      int // of a private one, else -1
}

// ErrNoTracefs is wrapped by OpenTracefs' error where there is none.
var ErrNoTracefs = errors.New("tracefs cannot be had")

// OpenTracefs finds tracefs where it is mounted; where it is not, a process with CAP_SYS_ADMIN gets one of its own, which is mounted nowhere.
func OpenTracefs() (*Tracefs, error) {
	for _, p := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		var st unix.Statfs_t
		if unix.Statfs(p, &st) != nil || st.Type != unix.TRACEFS_MAGIC {
			continue
		}
		if err := unix.Access(filepath.Join(p, "events"), unix.R_OK|unix.X_OK); err != nil {
			return nil, fmt.Errorf("%w: %s: %w (run as root, or remount it with gid= and mode=)", ErrNoTracefs, p, err)
		}
		return &Tracefs{root: p, fd: -1}, nil
	}
	fd, err := mountTracefs()
	if err != nil {
		return nil, fmt.Errorf("%w: it is not mounted on /sys/kernel/tracing, and mounting it privately: %w (root: mount -t tracefs tracefs /sys/kernel/tracing)", ErrNoTracefs, err)
	}
	return &Tracefs{root: fmt.Sprintf("/proc/self/fd/%d", fd), Private: true, fd: fd}, nil
}

// mountTracefs makes a mount that is in no mount namespace: nobody else sees it, and nothing is left when its descriptor closes.
func mountTracefs() (int, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOEXEC|unix.MOUNT_ATTR_NOSUID)
	if err != nil {
		return -1, os.NewSyscallError("fsmount", err)
	}
	return fd, nil
}

// Where gives the folder for people.
func (t *Tracefs) Where() string {
	if t.Private {
		return "mounted privately"
	}
	return t.root
}

// Close ends a private mount.
func (t *Tracefs) Close() error {
	if t.fd < 0 {
		return nil
	}
	return unix.Close(t.fd)
}

// ErrNoTracepoint is wrapped where the kernel has no tracepoint of a name.
var ErrNoTracepoint = errors.New("this kernel has no such tracepoint")

// Format reads the layout of a tracepoint by its name, such as "kvm:kvm_exit".
func (t *Tracefs) Format(name string) (*Format, error) {
	group, event, ok := cutName(name)
	if !ok {
		return nil, fmt.Errorf("tracepoint %q: a name is GROUP:EVENT", name)
	}
	r, err := os.Open(filepath.Join(t.root, "events", group, event, "format"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNoTracepoint)
	}
	if err != nil {
		return nil, fmt.Errorf("tracepoint %s: %w", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("tracepoint %s: %w", name, err)
	}
	f, err := ParseFormat(string(b))
	if err != nil {
		return nil, fmt.Errorf("tracepoint %s: %w", name, err)
	}
	return f, nil
}

// cutName splits GROUP:EVENT, which are plain words: they become part of a path.
func cutName(name string) (group, event string, ok bool) {
	for i, c := range name {
		switch {
		case c == ':' && group == "":
			group, event = name[:i], name[i+1:]
		case c == '_', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		default:
			return "", "", false
		}
	}
	return group, event, group != "" && event != ""
}
