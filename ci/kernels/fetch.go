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

// Fetch makes sure that the named files (of the lists of names, or a busybox) are there, downloading what is missing. Progress goes
// to log. The error wraps ErrNoPackages where apt cannot give them; files that came are kept. With $GOZEN_KERNELS set nothing is downloaded.
func Fetch(log io.Writer, names ...string) (Files, error) {
	f, err := Open()
	if err != nil {
		return f, err
	}
	return f, f.ensure(log, func() (want []string, err error) {
		for _, n := range names {
			if _, e := f.Find(n); e != nil {
				want, err = append(want, n), errors.Join(err, e)
			}
		}
		return want, err
	}, func(name, pkg, deb string) error { return f.take(name, pkg, deb) })
}

// ensure gets the packages of what missing names, and unpacks each with unpack, under a lock. missing also gives the reason.
func (f Files) ensure(log io.Writer, missing func() ([]string, error), unpack func(name, pkg, deb string) error) error {
	want, err := missing()
	if len(want) == 0 {
		return nil
	}
	if os.Getenv(Env) != "" {
		return fmt.Errorf("%w: $%s is set, so nothing is downloaded: %w", ErrNoPackages, Env, err)
	}
	for _, tool := range []string{"apt-get", "apt-cache"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: there is no %s here", ErrNoPackages, tool)
		}
	}
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(f.Dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	want, _ = missing() // another process may have been at it
	byArch := map[string][]string{}
	for _, n := range want {
		byArch[arch(n)] = append(byArch[arch(n)], n)
	}
	err = nil
	for _, arch := range []string{"amd64", "arm64", "i386"} {
		err = errors.Join(err, f.fetch(byArch[arch], arch, log, unpack))
	}
	return err
}

// fetch goes through the ways to ask until nothing is missing.
func (f Files) fetch(want []string, arch string, log io.Writer, unpack func(name, pkg, deb string) error) error {
	dir := filepath.Join(f.Dir, "apt")
	if arch != "amd64" {
		dir += "-" + arch
	}
	var last error
	for _, prepare := range lists(dir, arch, log) {
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
				if err = f.get(a, n, found[n], log, unpack); err == nil {
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

// get downloads one package and unpacks it.
func (f Files) get(a *apt, name, pkg string, log io.Writer, unpack func(name, pkg, deb string) error) error {
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
	if err := unpack(name, pkg, deb); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(deb), err)
	}
	return nil
}

// take puts the file of a package where Find looks.
func (f Files) take(name, pkg, deb string) error {
	r, err := os.Open(deb)
	if err != nil {
		return err
	}
	defer r.Close()
	part := deb + ".part"
	w, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	pattern := single(name)
	kernel := pattern == ""
	if kernel {
		pattern = "boot/vmlinuz-*"
	}
	_, err = extract(w, r, pattern, maxFile)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	to := f.path(name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if kernel {
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
