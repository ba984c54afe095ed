package kernels

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFile bounds what is taken out of a package: a vmlinuz has about 10 MiB.
const maxFile = 256 << 20

// Fetch makes sure that the named files (of Names, or Busybox) are there, downloading what is missing. Progress goes to
// log. The error wraps ErrNoPackages where apt cannot give them; files that came are kept. With $GOZEN_KERNELS set nothing is downloaded.
func Fetch(log io.Writer, names ...string) (Files, error) {
	f, err := Open()
	if err != nil {
		return f, err
	}
	if os.Getenv(Env) != "" {
		for _, n := range names {
			if _, err := f.Find(n); err != nil {
				return f, fmt.Errorf("%w: %w", ErrNoPackages, err)
			}
		}
		return f, nil
	}
	if len(f.missing(names)) == 0 {
		return f, nil
	}
	for _, tool := range []string{"apt-get", "apt-cache"} {
		if _, err := exec.LookPath(tool); err != nil {
			return f, fmt.Errorf("%w: there is no %s here", ErrNoPackages, tool)
		}
	}
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return f, err
	}
	unlock, err := lock(filepath.Join(f.Dir, "lock"))
	if err != nil {
		return f, err
	}
	defer unlock()
	return f, f.fetch(f.missing(names), log)
}

func (f Files) missing(names []string) (out []string) {
	for _, n := range names {
		if _, err := f.Find(n); err != nil {
			out = append(out, n)
		}
	}
	return out
}

// fetch goes through the ways to ask until nothing is missing.
func (f Files) fetch(want []string, log io.Writer) error {
	var last error
	for _, prepare := range lists(filepath.Join(f.Dir, "apt"), log) {
		if len(want) == 0 {
			return nil
		}
		a, err := prepare()
		if err != nil {
			last = err
			continue
		}
		found, _ := a.newest(want)
		var left []string
		for _, n := range want {
			switch {
			case found[n] == "":
				last = errors.New("no configured package source has " + patterns()[n])
			default:
				if err = f.get(a, n, found[n], log); err == nil {
					continue
				}
				last = err
			}
			left = append(left, n)
		}
		want = left
	}
	if len(want) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrNoPackages, strings.Join(want, ", "), last)
}

// get downloads one package and takes the file out.
func (f Files) get(a *apt, name, pkg string, log io.Writer) error {
	tmp, err := os.MkdirTemp(f.Dir, "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(log, "%s: downloading %s\n", name, pkg)
	deb, err := a.download(tmp, pkg)
	if err != nil {
		return err
	}
	r, err := os.Open(deb)
	if err != nil {
		return err
	}
	defer r.Close()
	part := filepath.Join(tmp, "part")
	w, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	pattern := "boot/vmlinuz-*"
	if name == Busybox {
		pattern = "bin/busybox"
	}
	_, err = extract(w, r, pattern, maxFile)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(deb), err)
	}
	to := f.path(name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if name != Busybox {
		if err := os.WriteFile(filepath.Join(filepath.Dir(to), "package"), []byte(pkg+"\n"), 0o644); err != nil {
			return err
		}
	}
	return os.Rename(part, to)
}

// lock keeps two commands from fetching the same files.
func lock(path string) (unlock func(), err error) {
	l, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(l.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { l.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			l.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}
