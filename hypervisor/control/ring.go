package control

import (
	"fmt"
	"sync"
)

// Ring keeps the last bytes of the hypervisor's messages about a domain, as Xen's console ring does. It may be written
// from any goroutine.
type Ring struct {
	mu   sync.Mutex
	max  int
	data []byte
	cut  bool // the oldest bytes are gone
}

// NewRing makes a Ring of at most size bytes.
func NewRing(size int) *Ring { return &Ring{max: size} }

// Write appends p, dropping the oldest bytes. It never fails.
func (r *Ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(p)
	if len(p) > r.max {
		p, r.cut = p[len(p)-r.max:], true
	}
	r.data = append(r.data, p...)
	// Twice the size before anything moves, so that a flood costs a copy per size bytes and not per line.
	if len(r.data) > 2*r.max {
		r.data = append(r.data[:0], r.data[len(r.data)-r.max:]...)
		r.cut = true
	}
	return n, nil
}

// Logf appends one line with Xen's prefix.
func (r *Ring) Logf(format string, args ...any) {
	_, _ = fmt.Fprintf(r, "(XEN) "+format+"\n", args...)
}

// Bytes gives a copy of what is kept, from the start of a line; clear empties the ring.
func (r *Ring) Bytes(clear bool) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, cut := r.data, r.cut
	if len(d) > r.max {
		d, cut = d[len(d)-r.max:], true
	}
	if cut {
		for i, c := range d {
			if c == '\n' {
				d = d[i+1:]
				break
			}
		}
	}
	out := append([]byte(nil), d...)
	if clear {
		r.data, r.cut = r.data[:0], false
	}
	return out
}
