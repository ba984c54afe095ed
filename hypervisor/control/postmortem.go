package control

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Death tells of a domain process that its sandbox killed.
type Death struct {
	Domid int
	Name  string
	What  string // "killed by its sandbox: system call execve (59) is not allowed"
	Log   string // the file that its whole log was moved to
}

// Deaths gives the deaths that this Registry has found since the last call, when it cleaned up.
func (r *Registry) Deaths() []Death {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.deaths
	r.deaths = nil
	return d
}

func (r *Registry) mourn(d Death) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaths = append(r.deaths, d)
}

// sandboxLine is what hypervisor/sandbox prints last. The pattern is narrow, since the log may hold anything that a
// captured process wrote.
var sandboxLine = regexp.MustCompile(`killed by its sandbox: (?:system call [a-z0-9_]{1,40} \([0-9]{1,10}\)|a system call of (?:unknown number|another architecture)) is not allowed`)

// logTail is how much of a log's end is searched.
const logTail = 64 << 10

// sandboxDeath gives the line with which the sandbox killed a process, from the end of its log; "" if it did not.
func sandboxDeath(log string) string {
	f, err := os.Open(log)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > logTail {
		_, _ = f.Seek(-logTail, io.SeekEnd)
	}
	b, _ := io.ReadAll(io.LimitReader(f, logTail))
	if all := sandboxLine.FindAll(b, -1); all != nil {
		return string(all[len(all)-1])
	}
	return ""
}

// Postmortem cleans up after the dead domain process pid and gives the start of what it printed, at most limit bytes, and
// where the whole log is. Both are empty if it left nothing. The Death is that of Deaths, if the sandbox killed it.
func (r *Registry) Postmortem(pid, limit int) (text, log string, d *Death) {
	unlock, err := r.lock()
	if err != nil {
		return "", "", nil
	}
	defer unlock()
	names, _ := os.ReadDir(r.root)
	id := 0
	for _, n := range names {
		dir := filepath.Join(r.root, n.Name())
		if _, ok := domidOf(n.Name()); !ok || readPID(dir) != pid || alive(dir) {
			continue
		}
		id, _ = domidOf(n.Name())
		b, _ := os.ReadFile(filepath.Join(dir, LogName))
		text = strings.TrimSpace(string(b[:min(len(b), limit)]))
		var f Found
		if readJSON(filepath.Join(dir, ConfigName), &f.Config) == nil {
			log = r.archived(LogName, f.Config.Name)
		}
	}
	_ = r.sweep()
	for _, m := range r.Deaths() {
		if m.Domid == id {
			d = &m
		} else {
			r.mourn(m)
		}
	}
	return text, log, d
}
