package control

import (
	"errors"
	"fmt"
	"io"
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

// Entry is the run folder of a domain that this process runs. It stays until Remove, or until this process
// ends in any way and the next user of the registry cleans up.
type Entry struct {
	Domid uint16
	Dir   string
	// Sandbox says how this process is confined. Set it before SetPhase and Serve.
	Sandbox *Sandbox

	reg     *Registry
	pid     *os.File // locked
	mu      sync.Mutex
	cfg     config.Domain
	started time.Time
	removed bool
}

// Create makes the run folder of a new domain and gives it a domid that no live domain has and that was not used lately. The name must be free
// among live domains.
func (r *Registry) Create(cfg config.Domain) (*Entry, error) { return r.replace(nil, cfg) }

// Replace ends the entry old and makes one for cfg in the same breath, so that nobody can take the name in between.
func (r *Registry) Replace(old *Entry, cfg config.Domain) (*Entry, error) { return r.replace(old, cfg) }

func (r *Registry) replace(old *Entry, cfg config.Domain) (*Entry, error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if old != nil {
		old.remove()
	}
	if err := r.sweep(); err != nil {
		return nil, err
	}
	if err := r.checkFree(cfg.Name, 0); err != nil {
		return nil, err
	}
	id, err := r.allocate()
	if err != nil {
		return nil, err
	}
	e := &Entry{Domid: uint16(id), Dir: filepath.Join(r.root, strconv.Itoa(id)), reg: r, cfg: cfg, started: time.Now()}
	if err := e.fill(); err != nil {
		_ = os.RemoveAll(e.Dir)
		return nil, fmt.Errorf("run folder of domain %d: %w", id, err)
	}
	return e, nil
}

// checkFree says whether name is free among live domains other than except.
func (r *Registry) checkFree(name string, except int) error {
	found, _, err := r.scan()
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Name == name && f.Domid != except {
			return &config.Error{Field: "name", What: fmt.Sprintf("Domain with name %q already exists.", name),
				Why: fmt.Sprintf("domain %d (process %d) has it", f.Domid, f.PID),
				Fix: "choose another name, or end that domain first: xl destroy " + strconv.Itoa(f.Domid)}
		}
	}
	return nil
}

// allocate gives the domid after the last one that was given out. The lock is held.
func (r *Registry) allocate() (int, error) {
	next := 1
	path := filepath.Join(r.root, nextName)
	if b, err := os.ReadFile(path); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n > 0 && n < firstReserved {
			next = n
		}
	}
	for tries := 0; tries < firstReserved; tries++ {
		id := next
		if next++; next >= firstReserved {
			next = 1
		}
		err := os.Mkdir(filepath.Join(r.root, strconv.Itoa(id)), 0o700)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("run folder: %w", err)
		}
		if err := writeFile(path, []byte(strconv.Itoa(next)+"\n")); err != nil {
			_ = os.Remove(filepath.Join(r.root, strconv.Itoa(id)))
			return 0, fmt.Errorf("run folder: %w", err)
		}
		return id, nil
	}
	return 0, &config.Error{What: "no domid is free", Why: "all 32751 are in use", Fix: "end some domains"}
}

func (e *Entry) fill() error {
	f, err := os.OpenFile(filepath.Join(e.Dir, pidName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := flock(f, unix.LOCK_EX); err != nil {
		f.Close()
		return err
	}
	e.pid = f
	if _, err := fmt.Fprintf(f, "%d %s\n", os.Getpid(), startTime()); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(e.Dir, ConfigName), e.cfg); err != nil {
		return err
	}
	return e.SetPhase(PhaseBuilding)
}

// startTime gives field 22 of /proc/self/stat: with the pid it names this process and no later one.
func startTime() string {
	b, _ := os.ReadFile("/proc/self/stat")
	if i := strings.LastIndexByte(string(b), ')'); i >= 0 {
		if f := strings.Fields(string(b[i+1:])); len(f) > 19 {
			return f[19]
		}
	}
	return "0"
}

// Path gives the path of a file in the run folder.
func (e *Entry) Path(name string) string { return filepath.Join(e.Dir, name) }

// Config gives the configuration with the domain's present name.
func (e *Entry) Config() config.Domain {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cfg
}

// SetPhase writes the state file.
func (e *Entry) SetPhase(phase string) error {
	return writeJSON(e.Path(stateName), stateFile{Phase: phase, Started: e.started, Sandbox: e.Sandbox})
}

// Rename gives the domain another name, if it is free.
func (e *Entry) Rename(name string) error {
	if err := config.CheckName(name); err != nil {
		return err
	}
	unlock, err := e.reg.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.reg.checkFree(name, int(e.Domid)); err != nil {
		return err
	}
	cfg := e.Config()
	cfg.Name = name
	if err := writeJSON(e.Path(ConfigName), cfg); err != nil {
		return fmt.Errorf("rename domain %d: %w", e.Domid, err)
	}
	e.mu.Lock()
	e.cfg = cfg
	e.mu.Unlock()
	return nil
}

// Update changes the configuration, as the domain itself has changed.
func (e *Entry) Update(change func(*config.Domain)) error {
	unlock, err := e.reg.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if e.removed {
		return nil
	}
	cfg := e.Config()
	change(&cfg)
	if err := writeJSON(e.Path(ConfigName), cfg); err != nil {
		return fmt.Errorf("write what domain %d is: %w", e.Domid, err)
	}
	e.mu.Lock()
	e.cfg = cfg
	e.mu.Unlock()
	return nil
}

// Remove moves the logs to the registry's log folder and deletes the run folder.
func (e *Entry) Remove() error {
	unlock, err := e.reg.lock()
	if err != nil {
		return err
	}
	defer unlock()
	e.remove()
	return nil
}

func (e *Entry) remove() {
	if e.removed {
		return
	}
	e.removed = true
	e.reg.archive(e.Dir, e.Config().Name)
	_ = os.RemoveAll(e.Dir)
	e.pid.Close()
}

// sweep removes the folders of dead domains. The lock is held, so no folder is in the making.
func (r *Registry) sweep() error {
	names, err := os.ReadDir(r.root)
	if err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	for _, n := range names {
		dir := filepath.Join(r.root, n.Name())
		if _, ok := domidOf(n.Name()); !ok || alive(dir) {
			continue
		}
		var cfg config.Domain
		if readJSON(filepath.Join(dir, ConfigName), &cfg) == nil && config.CheckName(cfg.Name) == nil {
			r.note(dir, cfg.Name)
			r.archive(dir, cfg.Name)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("clean up after a dead domain: %w", err)
		}
	}
	return nil
}

// note leaves a last line in the log of a domain whose process vanished.
func (r *Registry) note(dir, name string) {
	why := fmt.Sprintf("process %d ended without a word (killed?)", readPID(dir))
	id := filepath.Base(dir)
	if what := sandboxDeath(filepath.Join(dir, LogName)); what != "" {
		why = fmt.Sprintf("d%s: %s", id, what)
		n, _ := strconv.Atoi(id)
		r.mourn(Death{Domid: n, Name: name, What: what, Log: r.archived(LogName, name)})
	}
	f, err := os.OpenFile(filepath.Join(dir, LogName), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		fmt.Fprintf(f, "gozen: %s; its run folder was cleaned up at %s\n", why, time.Now().Format(time.RFC3339))
		f.Close()
	}
}

// keptLogs bounds the log folder: this many files of ended domains are kept, the newest.
const keptLogs = 64

func (r *Registry) archive(dir, name string) {
	for _, l := range []string{ConsoleLogName, LogName} {
		to := r.archived(l, name)
		if len(filepath.Base(to)) > 250 {
			continue // longer than file names may be
		}
		if _, err := os.Stat(filepath.Join(dir, l)); err != nil {
			continue
		}
		_ = os.Rename(to, to+".1")
		move(filepath.Join(dir, l), to)
	}
	r.prune()
}

// archived gives where the log of a domain that is gone is kept.
func (r *Registry) archived(log, name string) string {
	base, _, _ := strings.Cut(log, ".")
	return filepath.Join(r.LogDir(), base+"-"+name+".log")
}

// move renames a file. Inside a sandbox of Landlock version 1 (Linux 5.13 to 5.18), nothing can move to another folder: then
// it is copied.
func move(from, to string) {
	if !errors.Is(os.Rename(from, to), unix.EXDEV) {
		return
	}
	in, err := os.Open(from)
	if err != nil {
		return
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	_, _ = io.Copy(out, in)
	out.Close()
}

func (r *Registry) prune() {
	files, err := os.ReadDir(r.LogDir())
	if err != nil || len(files) <= keptLogs {
		return
	}
	age := func(d os.DirEntry) time.Time {
		if fi, err := d.Info(); err == nil {
			return fi.ModTime()
		}
		return time.Time{}
	}
	sort.Slice(files, func(i, j int) bool { return age(files[i]).After(age(files[j])) })
	for _, f := range files[keptLogs:] {
		_ = os.Remove(filepath.Join(r.LogDir(), f.Name()))
	}
}
