package control

import (
	"os"
	"path/filepath"
	"strings"
)

// Postmortem cleans up after the dead domain process pid and gives the start of what it printed, at most limit bytes, and
// where the whole log is. Both are empty if it left nothing.
func (r *Registry) Postmortem(pid, limit int) (text, log string) {
	unlock, err := r.lock()
	if err != nil {
		return "", ""
	}
	defer unlock()
	names, _ := os.ReadDir(r.root)
	for _, n := range names {
		dir := filepath.Join(r.root, n.Name())
		if _, ok := domidOf(n.Name()); !ok || readPID(dir) != pid || alive(dir) {
			continue
		}
		b, _ := os.ReadFile(filepath.Join(dir, LogName))
		text = strings.TrimSpace(string(b[:min(len(b), limit)]))
		var f Found
		if readJSON(filepath.Join(dir, ConfigName), &f.Config) == nil {
			log = filepath.Join(r.LogDir(), "hypervisor-"+f.Config.Name+".log")
		}
	}
	_ = r.sweep()
	return text, log
}
