package xenstore

import (
	"bytes"
	"fmt"
	"sync"
	"syscall"

	"gozen/hypervisor/xen"
)

// PathError is the error of the host's operations: errors.Is finds the errno xenstored would answer.
type PathError struct {
	Op, Path string
	Err      syscall.Errno
}

// Error implements error.
func (e *PathError) Error() string { return fmt.Sprintf("xenstore %s %s: %v", e.Op, e.Path, e.Err) }

// Unwrap gives the errno.
func (e *PathError) Unwrap() error { return e.Err }

// do runs f on the current tree with the rights of domain 0, and tells watches what it changed.
func (s *Store) do(op, path string, f func(v *view, path string) error) error {
	p, err := canonical(path, 0)
	if err == nil {
		s.mu.Lock()
		v := &view{s: s, t: s.cur, who: actor{priv: true}}
		err = f(v, p)
		wake := s.fire(v.done)
		s.mu.Unlock()
		wake.call()
	}
	if errno, isErrno := err.(syscall.Errno); isErrno {
		return &PathError{op, path, errno}
	}
	return err
}

// Read gives the value at path.
func (s *Store) Read(path string) (value []byte, err error) {
	err = s.do("read", path, func(v *view, p string) error {
		b, err := v.read(p)
		value = bytes.Clone(b)
		return err
	})
	return value, err
}

// Write sets the value at path, at most 4096 bytes, making missing nodes.
func (s *Store) Write(path string, value []byte) error {
	return s.do("write", path, func(v *view, p string) error {
		if len(value) > xen.XENSTORE_PAYLOAD_MAX {
			return errTooBig
		}
		return v.write(p, bytes.Clone(value))
	})
}

// Mkdir makes the node at path if it is missing.
func (s *Store) Mkdir(path string) error { return s.do("mkdir", path, (*view).mkdir) }

// Rm removes the node at path and all below; a missing one is no error if its parent exists.
func (s *Store) Rm(path string) error { return s.do("rm", path, (*view).rm) }

// List gives the names of the children of path, sorted.
func (s *Store) List(path string) (names []string, err error) {
	err = s.do("list", path, func(v *view, p string) error {
		l, _, err := v.list(p)
		names = append([]string{}, l...)
		return err
	})
	return names, err
}

// Perms gives the permissions of path in wire form, such as "n0", "r5"; the first names the owner.
func (s *Store) Perms(path string) (perms []string, err error) {
	err = s.do("get permissions of", path, func(v *view, p string) error {
		l, err := v.perms(p)
		for _, x := range l {
			perms = append(perms, x.String())
		}
		return err
	})
	return perms, err
}

// SetPerms replaces the permissions of path.
func (s *Store) SetPerms(path string, perms []string) error {
	return s.do("set permissions of", path, func(v *view, p string) error {
		l, err := parsePerms(perms)
		if err != nil {
			return err
		}
		return v.setPerms(p, l)
	})
}

// Set writes value at path and gives the node perms, in one step.
func (s *Store) Set(path, value string, perms ...Perm) error {
	return s.do("write", path, func(v *view, p string) error {
		if err := v.write(p, []byte(value)); err != nil || len(perms) == 0 {
			return err
		}
		return v.setPerms(p, perms)
	})
}

// Watch has fire called with the path of every change at or below path (or special event, such as @releaseDomain), and at
// first once with path itself, until stop is called. Calls come one at a time from a goroutine of their own and may
// use the Store. When fire is slow, equal events are merged, and beyond 1024 waiting ones only path itself is told.
// After stop no new call begins.
func (s *Store) Watch(path string, fire func(path string)) (stop func(), err error) {
	if !isSpecial(path) {
		if _, err := canonical(path, 0); err != nil || path[0] != '/' {
			return nil, &PathError{"watch", path, errInvalid}
		}
	}
	h := &hostWatch{path: path, fire: fire}
	h.cond = sync.NewCond(&h.mu)
	s.mu.Lock()
	s.hosts[h] = struct{}{}
	h.add(path)
	s.mu.Unlock()
	go h.run()
	return func() {
		s.mu.Lock()
		delete(s.hosts, h)
		s.mu.Unlock()
		h.mu.Lock()
		h.stopped = true
		h.cond.Signal()
		h.mu.Unlock()
	}, nil
}

// told is a function of the host that is called on changes at or below a path.
type told struct {
	path string
	f    func()
}

// OnChange has f called after every change at or below path, by whoever made it and before it goes on, until stop is called. f must not block, and
// must not use the Store. Unlike with Watch there is no first call, and no other goroutine: what f sets in motion is where it was the last time
// in a deterministic run.
func (s *Store) OnChange(path string, f func()) (stop func()) {
	t := &told{path, f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[t] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.told, t)
	}
}

// maxHostEvents bounds the events waiting for one watch of the host.
const maxHostEvents = 1024

// hostWatch is a watch set by the host. Its lock is taken with Store.mu held, never the other way round.
type hostWatch struct {
	path string
	fire func(string)

	mu      sync.Mutex
	cond    *sync.Cond
	queue   []string
	waiting map[string]bool
	stopped bool
}

func (h *hostWatch) add(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) >= maxHostEvents {
		path = h.path
	}
	if h.waiting[path] {
		return
	}
	if h.waiting == nil {
		h.waiting = map[string]bool{}
	}
	h.waiting[path] = true
	h.queue = append(h.queue, path)
	h.cond.Signal()
}

func (h *hostWatch) run() {
	for {
		h.mu.Lock()
		for len(h.queue) == 0 && !h.stopped {
			h.cond.Wait()
		}
		if h.stopped {
			h.mu.Unlock()
			return
		}
		p := h.queue[0]
		h.queue = h.queue[1:]
		delete(h.waiting, p)
		h.mu.Unlock()
		h.fire(p)
	}
}
