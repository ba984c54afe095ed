package kernels

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"gozen/benches/guest/modules"
)

// FetchModules makes sure that a kernel (one of Names or Arm64Names) and the named modules of its package are there, with all modules
// that these need, and gives the paths of the unpacked modules in an order in which they can be loaded. A module that the package
// does not have is an error. Progress goes to log; otherwise as Fetch. Kernel and modules always are of one package: where the kernel that is
// there is of another than the one that can be had now, it is replaced.
func FetchModules(log io.Writer, kernel string, names ...string) ([]string, error) {
	f, err := Open()
	if err != nil {
		return nil, err
	}
	var order []string
	missing := func() (want []string, err error) {
		if order, err = f.Modules(kernel, names...); err != nil {
			return []string{kernel}, err
		}
		return nil, nil
	}
	err = f.ensure(log, missing, func(name, pkg, deb string) error { return f.takeModules(name, pkg, deb, names) })
	if err == nil && order == nil && len(names) > 0 {
		order, err = f.Modules(kernel, names...)
	}
	return order, err
}

// Modules gives the paths of the named modules of a kernel and of those that they need, in an order in which they can be loaded. If they are not
// there the error wraps ErrMissing.
func (f Files) Modules(kernel string, names ...string) ([]string, error) {
	if _, err := f.Find(kernel); err != nil {
		return nil, err
	}
	dir := filepath.Join(f.Dir, kernel, "modules")
	of, _ := os.ReadFile(filepath.Join(dir, "package"))
	if p := strings.TrimSpace(string(of)); len(names) > 0 && (p == "" || p != f.Package(kernel)) {
		return nil, fmt.Errorf("%w: modules of %s in %s", ErrMissing, kernel, dir)
	}
	order, err := modules.Order(names, func(name string) ([]string, error) {
		b, err := os.ReadFile(filepath.Join(dir, name+".ko"))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: module %s of %s", ErrMissing, name, kernel)
		}
		if err != nil {
			return nil, err
		}
		return modules.Depends(b)
	})
	for i, n := range order {
		order[i] = filepath.Join(dir, n+".ko")
	}
	return order, err
}

// takeModules puts the kernel of a package where Find looks, and the named modules and those that they need beside it, unpacked. Modules
// of the same package that were taken before stay.
func (f Files) takeModules(kernel, pkg, deb string, names []string) error {
	all := deb + ".modules"
	if err := spread(deb, all, len(names) > 0); err != nil {
		return err
	}
	packed, err := modules.Open(all)
	if err != nil {
		return err
	}
	list, err := packed.Load(names...)
	if err != nil {
		return err
	}
	dir := filepath.Join(f.Dir, kernel, "modules")
	if of, _ := os.ReadFile(filepath.Join(dir, "package")); strings.TrimSpace(string(of)) != pkg {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, m := range list {
		to := filepath.Join(dir, m.Name+".ko")
		if _, err := os.Stat(to); err == nil {
			continue // another process may be reading it
		}
		if err := os.WriteFile(to+".part", m.Content, 0o644); err != nil {
			return err
		}
		if err := os.Rename(to+".part", to); err != nil {
			return err
		}
	}
	if f.Package(kernel) != pkg {
		if err := f.take(kernel, pkg, deb); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "package"), []byte(pkg+"\n"), 0o644)
}

// spread copies all modules of a package into the folder dir, by their names, packed as they are; or none.
func spread(deb, dir string, all bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil || !all {
		return err
	}
	r, err := os.Open(deb)
	if err != nil {
		return err
	}
	defer r.Close()
	return walk(r, maxFile, func(name string, content io.Reader) error {
		base := path.Base(name)
		if stem, _, ok := strings.Cut(base, ".ko"); ok && strings.HasPrefix(name, "lib/modules/") {
			w, err := os.Create(filepath.Join(dir, modules.Name(stem)+base[len(stem):]))
			if err != nil {
				return err
			}
			_, err = io.Copy(w, content)
			return errors.Join(err, w.Close())
		}
		return nil
	})
}
