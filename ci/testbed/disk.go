package testbed

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"gozen/benches/guest/initramfs"
)

// diskSpec is what goes into the initial RAM disk.
type diskSpec struct {
	busybox string
	init    string
	modules []string // paths outside
	files   map[string]string
	jobs    []Job
}

// write makes the initial RAM disk.
func (d diskSpec) write(to string) error {
	var a initramfs.Archive
	a.File("/init", 0o755, []byte(d.init))
	a.HostFile("/bin/busybox", 0o755, d.busybox)
	a.Symlink("/bin/sh", "busybox")
	for _, dir := range []string{"/proc", "/sys", "/dev", "/root", "/run"} {
		a.Dir(dir, 0o755)
	}
	a.Dir("/tmp", 0o777)
	a.Device("/dev/console", 0o600, 5, 1)
	for _, m := range d.modules {
		a.HostFile(modulePath(m), 0o644, m)
	}
	for _, j := range d.jobs {
		a.File("/jobs/"+j.Name, 0o644, []byte(j.Script+"\n"))
	}
	for _, inside := range slices.Sorted(maps.Keys(d.files)) {
		if err := copyIn(&a, inside, d.files[inside]); err != nil {
			return fmt.Errorf("file %s=%s: %w", inside, d.files[inside], err)
		}
	}
	b, err := a.Bytes()
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// copyIn adds a file, or a folder with all that is in it. Symbolic links in a folder stay what they are.
func copyIn(a *initramfs.Archive, inside, outside string) error {
	outside, err := filepath.EvalSymlinks(outside)
	if err != nil {
		return err
	}
	return filepath.WalkDir(outside, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(outside, p)
		if err != nil {
			return err
		}
		name := path.Join(inside, filepath.ToSlash(rel))
		st, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			a.Dir(name, st.Mode())
		case st.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			a.Symlink(name, to)
		case st.Mode().IsRegular():
			a.HostFile(name, st.Mode(), p)
		}
		return nil
	})
}
