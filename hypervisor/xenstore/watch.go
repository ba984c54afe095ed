package xenstore

import "strings"

// watch is a guest's wish to hear of changes at or below path.
type watch struct {
	path   string // canonical, or special
	base   string // what to cut from event paths of a relative watch, with its slash; "" for absolute ones
	token  string
	merged bool // events were merged: one for path itself is owed
}

// name gives the path of an event in the form in which the watch was set.
func (w *watch) name(path string) string { return strings.TrimPrefix(path, w.base) }

// wakers are functions to be called once Store.mu is free.
type wakers []func()

func (w wakers) call() {
	for _, f := range w {
		f()
	}
}

// fire queues events for all watches that changes concern. The caller holds mu, and calls what it gives after.
func (s *Store) fire(changes []change) wakers {
	if len(changes) == 0 {
		return nil
	}
	var wake wakers
	for c := range s.conns {
		queued := false
		for i := range changes {
			for _, w := range c.watches {
				if p, ok := s.concerns(&changes[i], w.path, c.who); ok {
					queued = c.event(w, p) || queued
				}
			}
		}
		if queued && c.wake != nil {
			wake = append(wake, c.wake)
		}
	}
	for h := range s.hosts {
		for i := range changes {
			if p, ok := s.concerns(&changes[i], h.path, actor{priv: true}); ok {
				h.add(p)
			}
		}
	}
	for t := range s.told {
		for i := range changes {
			if _, ok := s.concerns(&changes[i], t.path, actor{priv: true}); ok {
				wake = append(wake, t.f)
				break
			}
		}
	}
	return wake
}

// concerns says whether a watch on path, set by who, gets an event for c, and with which path.
func (s *Store) concerns(c *change, path string, who actor) (string, bool) {
	if isSpecial(c.path) {
		return path, path == c.path && who.priv
	}
	if below(c.path, path) {
		return c.path, s.mayHear(c, who)
	}
	if c.removed == nil || !below(path, c.path) {
		return "", false
	}
	rest := strings.Split(path[len(c.path)+1:], "/")
	gone, _ := c.removed.find(rest)
	return path, gone != nil && who.may(gone, Read)
}

// mayHear reports whether who may read the node that changed, as it is now or as it was when it was removed.
func (s *Store) mayHear(c *change, who actor) bool {
	if who.priv {
		return true
	}
	if c.removed != nil {
		return who.may(c.removed, Read)
	}
	n := s.cur.find(c.path)
	return n != nil && who.may(n, Read)
}
