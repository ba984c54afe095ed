package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupBase is the folder, below the root of the hierarchy or this user's delegated part of it, that holds one cgroup a domain.
const cgroupBase = "gozen"

// Cgroup is a cgroup (version 2) that was made for a process to be born in: moving a running process costs milliseconds, since it waits
// for all CPUs of the host.
type Cgroup struct {
	path string
	dir  *os.File
}

// MakeCgroup makes an empty cgroup, and removes those of processes that are gone. An error says why this host, or this user, cannot.
func MakeCgroup(maxTasks int) (*Cgroup, error) {
	base, err := cgroupHome()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(base, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	sweepCgroups(base)
	// Where the parent has the controller to give; elsewhere the cgroup groups and bounds nothing.
	_ = os.WriteFile(filepath.Join(base, "cgroup.subtree_control"), []byte("+pids"), 0)
	id := make([]byte, 6)
	_, _ = rand.Read(id)
	c := &Cgroup{path: filepath.Join(base, hex.EncodeToString(id))}
	if err := os.Mkdir(c.path, 0o755); err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	_ = os.WriteFile(filepath.Join(c.path, "pids.max"), []byte(strconv.Itoa(maxTasks)), 0)
	if c.dir, err = os.Open(c.path); err != nil {
		c.Remove()
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	return c, nil
}

// FD is for syscall.SysProcAttr.CgroupFD.
func (c *Cgroup) FD() int { return int(c.dir.Fd()) }

// Close forgets the cgroup, which stays.
func (c *Cgroup) Close() { _ = c.dir.Close() }

// Remove removes the cgroup, if it is empty.
func (c *Cgroup) Remove() { _ = unix.Rmdir(c.path) }

// cgroupHome gives the folder for the domains' cgroups: at the root of the hierarchy for root, else in the
// caller's own cgroup, which must have been delegated to the user.
func cgroupHome() (string, error) {
	mount, err := cgroupMount()
	if err != nil {
		return "", err
	}
	own, err := ownCgroup()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(mount, own)
	if os.Geteuid() == 0 {
		parent = mount
	} else if base, _, ok := strings.Cut(own, "/"+cgroupBase+"/"); ok {
		parent = filepath.Join(mount, base)
	}
	if err := unix.Access(parent, unix.W_OK); err != nil {
		return "", fmt.Errorf("cgroup: %s is not delegated to this user (systemd-run --user --scope -p Delegate=yes gives one)", own)
	}
	return filepath.Join(parent, cgroupBase), nil
}

// cgroupMount finds the version 2 hierarchy: at its usual place, or beside version 1.
func cgroupMount() (string, error) {
	for _, p := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(p, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return p, nil
		}
	}
	return "", errors.New("cgroup: version 2 is not mounted on /sys/fs/cgroup")
}

// ownCgroup gives the path of the calling process's cgroup, "/" at the root (cgroups(7), /proc/PID/cgroup).
func ownCgroup() (string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("cgroup: %w", err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		if p, ok := strings.CutPrefix(l, "0::"); ok {
			return p, nil
		}
	}
	return "", errors.New("cgroup: version 2 is not mounted")
}

// CurrentCgroup gives the path of the calling process's cgroup if MakeCgroup made it.
func CurrentCgroup() (string, error) {
	own, err := ownCgroup()
	if err != nil {
		return "", err
	}
	if strings.Contains(own, "/"+cgroupBase+"/") {
		return own, nil
	}
	if _, err := cgroupHome(); err != nil {
		return "", err
	}
	return "", errors.New("cgroup: the process was not started in one of its own")
}

// sweepCgroups removes empty cgroups. One that is just being made may be among them: its maker tries again.
func sweepCgroups(base string) {
	entries, _ := os.ReadDir(base)
	for _, e := range entries {
		if e.IsDir() {
			_ = unix.Rmdir(filepath.Join(base, e.Name()))
		}
	}
}
