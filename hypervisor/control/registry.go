package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
)

// firstReserved is DOMID_FIRST_RESERVED (Xen public/xen.h): domids are 1 to 0x7fef.
const firstReserved = 0x7ff0

// Names of the files in a run folder.
const (
	SocketName     = "control.sock"
	ConfigName     = "config.json"
	ConsoleLogName = "console.log"
	LogName        = "hypervisor.log"
	pidName        = "pid"
	stateName      = "state"
	lockName       = "lock"
	nextName       = "next"
	logDirName     = "log"
)

// Registry is the root run folder of this host and user: one folder for each domain, named by domid. Any process may use it;
// changes happen under a file lock. A domain is alive as long as its process holds a lock on the pid file in
// its folder, which the kernel drops however the process ends.
type Registry struct {
	root string

	mu     sync.Mutex
	deaths []Death
}

// RootEnv names the environment variable with the root run folder.
const RootEnv = "GOZEN_RUN"

// DefaultRoot gives $GOZEN_RUN, else /run/gozen for root, else $XDG_RUNTIME_DIR/gozen, else /tmp/gozen-UID.
func DefaultRoot() string {
	if d := os.Getenv(RootEnv); d != "" {
		return d
	}
	if os.Getuid() == 0 {
		return "/run/gozen"
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "gozen")
	}
	return fmt.Sprintf("/tmp/gozen-%d", os.Getuid())
}

// OpenRegistry opens the root run folder, making it (mode 0700) if need be. A folder that belongs to somebody else or that others
// may enter is refused. An empty root means DefaultRoot.
func OpenRegistry(root string) (*Registry, error) {
	if root == "" {
		root = DefaultRoot()
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	refuse := func(why string) error {
		return &config.Error{What: "run folder " + root + " cannot be used", Why: why,
			Fix: "remove it, or name another with GOZEN_RUN"}
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, refuse(err.Error())
	}
	var st unix.Stat_t
	if err := unix.Lstat(root, &st); err != nil {
		return nil, refuse(err.Error())
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return nil, refuse("it is not a folder")
	case int(st.Uid) != os.Geteuid():
		return nil, refuse(fmt.Sprintf("it belongs to user %d", st.Uid))
	case st.Mode&0o077 != 0:
		if err := os.Chmod(root, 0o700); err != nil {
			return nil, refuse(err.Error())
		}
	}
	if err := os.Mkdir(filepath.Join(root, logDirName), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, refuse(err.Error())
	}
	return &Registry{root: root}, nil
}

// Root gives the path of the root run folder.
func (r *Registry) Root() string { return r.root }

// LogDir gives the folder where the logs of ended domains are kept for a while.
func (r *Registry) LogDir() string { return filepath.Join(r.root, logDirName) }

// lock takes the lock of the whole registry.
func (r *Registry) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(r.root, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock run folder: %w", err)
	}
	return func() { f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Found is a live domain in the run folder.
type Found struct {
	Domid   int
	Dir     string
	Name    string
	UUID    string
	PID     int
	Phase   string // building, running, ended (preserved)
	Started time.Time
	Config  config.Domain
	// Sandbox says how its process is confined, nil while it is being built.
	Sandbox *Sandbox
}

// stateFile is the content of the state file.
type stateFile struct {
	Phase   string    `json:"phase"`
	Started time.Time `json:"started"`
	Sandbox *Sandbox  `json:"sandbox,omitempty"`
}

// The phases of a domain in its state file.
const (
	PhaseBuilding = "building"
	PhaseRunning  = "running"
	PhaseEnded    = "ended"
)

// List gives the live domains by rising domid. Folders of dead processes are cleaned away on the way.
func (r *Registry) List() ([]Found, error) {
	found, dead, err := r.scan()
	if err != nil {
		return nil, err
	}
	if dead {
		if unlock, err := r.lock(); err == nil {
			err = r.sweep()
			unlock()
			if err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// Find looks a domain up by domid or name, the domid first as xl does. It gives ErrNotFound.
func (r *Registry) Find(nameOrID string) (Found, error) {
	all, err := r.List()
	if err != nil {
		return Found{}, err
	}
	if id, err := strconv.Atoi(nameOrID); err == nil {
		for _, f := range all {
			if f.Domid == id {
				return f, nil
			}
		}
	}
	for _, f := range all {
		if f.Name == nameOrID {
			return f, nil
		}
	}
	return Found{}, fmt.Errorf("%s: %w", nameOrID, ErrNotFound)
}

// scan reads the run folder without the lock, so what it calls dead may just be in the making.
func (r *Registry) scan() (found []Found, dead bool, err error) {
	names, err := os.ReadDir(r.root)
	if err != nil {
		return nil, false, fmt.Errorf("run folder: %w", err)
	}
	for _, n := range names {
		id, ok := domidOf(n.Name())
		if !ok {
			continue
		}
		dir := filepath.Join(r.root, n.Name())
		if !alive(dir) {
			dead = true
			continue
		}
		f := Found{Domid: id, Dir: dir, PID: readPID(dir), Phase: PhaseBuilding}
		if readJSON(filepath.Join(dir, ConfigName), &f.Config) != nil {
			continue // in the making, or going away
		}
		f.Name, f.UUID = f.Config.Name, f.Config.UUID
		var st stateFile
		if readJSON(filepath.Join(dir, stateName), &st) == nil {
			f.Phase, f.Started, f.Sandbox = st.Phase, st.Started, st.Sandbox
		}
		found = append(found, f)
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Domid < found[j].Domid })
	return found, dead, nil
}

func domidOf(name string) (int, bool) {
	id, err := strconv.Atoi(name)
	return id, err == nil && id > 0 && id < firstReserved && name == strconv.Itoa(id)
}

// alive says whether a process holds the lock of the domain folder and will go on to hold it.
func alive(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, pidName), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if flock(f, unix.LOCK_SH|unix.LOCK_NB) == nil {
		return false
	}
	return !dying(readPID(dir))
}

// dying says whether the process is on its way out: a zombie, exiting, or with a SIGKILL pending. Its locks go when the kernel
// gets to it, which may take a while with much guest memory to give back.
func dying(pid int) bool {
	if pid <= 0 {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false // gone a moment ago, or in another pid namespace: the lock decides
	}
	i := strings.LastIndexByte(string(b), ')')
	if i < 0 {
		return false
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 7 {
		return false
	}
	const pfExiting = 4 // PF_EXITING, proc_pid_stat(5)
	flags, _ := strconv.ParseUint(f[6], 10, 64)
	if f[0] == "Z" || f[0] == "X" || flags&pfExiting != 0 {
		return true
	}
	b, _ = os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && (k == "SigPnd" || k == "ShdPnd") {
			m, _ := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			if m&(1<<(unix.SIGKILL-1)) != 0 {
				return true
			}
		}
	}
	return false
}

func readPID(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, pidName))
	if err != nil {
		return 0
	}
	s, _, _ := strings.Cut(string(b), " ")
	pid, _ := strconv.Atoi(strings.TrimSpace(s))
	return pid
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// writeFile replaces a file whole, so that a reader never sees half of it.
func writeFile(path string, b []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}
