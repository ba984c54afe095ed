package net

import "sync"

// maxMulticast is how many addresses a frontend may ask for; with more, it gets all.
const maxMulticast = 64

// filter says which frames for several receivers a guest gets: all, or those whose addresses it asked for.
type filter struct {
	mu    sync.RWMutex
	on    bool
	wants map[[6]byte]bool
}

func (f *filter) reset(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on, f.wants = on, map[[6]byte]bool{}
}

func (f *filter) change(a [6]byte, add bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !add:
		delete(f.wants, a)
	case len(f.wants) == maxMulticast:
		f.on = false
	default:
		f.wants[a] = true
	}
}

// passes says whether the guest gets a frame for an address.
func (f *filter) passes(to []byte) bool {
	if to[0]&1 == 0 || [6]byte(to) == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} {
		return true
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return !f.on || f.wants[[6]byte(to)]
}
