package kernels

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mikelolasagasti/xz"
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
	order, err := loadOrder(names, func(name string) ([]string, error) {
		b, err := os.ReadFile(filepath.Join(dir, name+".ko"))
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: module %s of %s", ErrMissing, name, kernel)
		}
		if err != nil {
			return nil, err
		}
		return depends(b)
	})
	for i, n := range order {
		order[i] = filepath.Join(dir, n+".ko")
	}
	return order, err
}

// loadOrder sorts modules and all that they need so that each comes after those that it needs.
func loadOrder(names []string, depends func(name string) ([]string, error)) ([]string, error) {
	var order, above []string
	var add func(name string) error
	add = func(name string) error {
		switch {
		case slices.Contains(order, name):
			return nil
		case slices.Contains(above, name):
			return fmt.Errorf("modules need each other: %s", strings.Join(append(above, name), " -> "))
		}
		needs, err := depends(name)
		if err != nil {
			return err
		}
		above = append(above, name)
		for _, n := range needs {
			if err := add(moduleName(n)); err != nil {
				return err
			}
		}
		above = above[:len(above)-1]
		order = append(order, name)
		return nil
	}
	for _, n := range names {
		if err := add(moduleName(n)); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleName gives the one spelling of a module's name that is used here: the kernel takes - and _ for the same.
func moduleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// depends reads which modules a module needs: "depends=a,b" in its section .modinfo, a list of strings that end with a zero byte.
func depends(ko []byte) ([]string, error) {
	e, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		return nil, fmt.Errorf("not a kernel module: %w", err)
	}
	s := e.Section(".modinfo")
	if s == nil {
		return nil, errors.New("not a kernel module: no section .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("not a kernel module: %w", err)
	}
	for _, l := range strings.Split(string(info), "\x00") {
		if d, ok := strings.CutPrefix(l, "depends="); ok && d != "" {
			return strings.Split(d, ","), nil
		}
	}
	return nil, nil
}

// takeModules puts the kernel of a package where Find looks, and the named modules and those that they need beside it, unpacked. Modules
// of the same package that were taken before stay.
func (f Files) takeModules(kernel, pkg, deb string, names []string) error {
	all := deb + ".modules"
	if len(names) > 0 {
		if err := spread(deb, all); err != nil {
			return err
		}
	}
	order, err := loadOrder(names, func(name string) ([]string, error) {
		b, err := unpackModule(all, name)
		if err != nil {
			return nil, err
		}
		return depends(b)
	})
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
	for _, n := range order {
		to := filepath.Join(dir, n+".ko")
		if _, err := os.Stat(to); err == nil {
			continue // another process may be reading it
		}
		b, err := unpackModule(all, n)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to+".part", b, 0o644); err != nil {
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

// spread copies all modules of a package into the folder dir, by their names, packed as they are.
func spread(deb, dir string) error {
	r, err := os.Open(deb)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return walk(r, maxFile, func(name string, content io.Reader) error {
		base := path.Base(name)
		if stem, _, ok := strings.Cut(base, ".ko"); ok && strings.HasPrefix(name, "lib/modules/") {
			w, err := os.Create(filepath.Join(dir, moduleName(stem)+base[len(stem):]))
			if err != nil {
				return err
			}
			_, err = io.Copy(w, content)
			return errors.Join(err, w.Close())
		}
		return nil
	})
}

// unpackModule reads one of the modules that spread has left in dir.
func unpackModule(dir, name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, name+".ko"))
	if err == nil {
		return b, nil
	}
	b, err = os.ReadFile(filepath.Join(dir, name+".ko.xz"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: module %s", errNotThere, name)
	}
	if err != nil {
		return nil, err
	}
	r, err := xz.NewReader(bytes.NewReader(b), 0)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	b, err = io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	return b, nil
}
