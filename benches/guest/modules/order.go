package modules

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Order sorts modules and all that they need so that each comes after those that it needs. depends gives the names of those that one needs itself.
func Order(names []string, depends func(name string) ([]string, error)) ([]string, error) {
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
			if err := add(Name(n)); err != nil {
				return err
			}
		}
		above = above[:len(above)-1]
		order = append(order, name)
		return nil
	}
	for _, n := range names {
		if err := add(Name(n)); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// Name gives the one spelling of a module's name that is used here: the kernel takes - and _ for the same.
func Name(s string) string { return strings.ReplaceAll(s, "-", "_") }

// Depends reads which modules a module needs: "depends=a,b" in its section .modinfo, a list of strings that end with a zero byte.
func Depends(ko []byte) ([]string, error) {
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
