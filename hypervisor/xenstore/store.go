package xenstore

import (
	"sync"

	"gozen/hypervisor/xen"
)

// Quota bounds what one guest may take. Zero fields mean the default.
type Quota struct {
	Nodes         int // nodes it owns
	NodeSize      int // bytes of value, permissions and names of children of one node
	Perms         int // entries in a permission list
	Watches       int
	WatchBytes    int // bytes of watch paths and tokens together
	Transactions  int // open at a time
	TransactionOp int // nodes looked at, and changes made, in one transaction
	Events        int // watch events waiting to be read; more are merged
}

// DefaultQuota is xenstored's of Xen 4.17 where it has one.
var defaultQuota = Quota{Nodes: 1000, NodeSize: 2048, Perms: 5, Watches: 128, WatchBytes: 128 << 10, Transactions: 10,
	TransactionOp: 1024, Events: 256}

func (q Quota) withDefaults() Quota {
	d := defaultQuota
	for _, f := range []struct{ have, def *int }{{&q.Nodes, &d.Nodes}, {&q.NodeSize, &d.NodeSize}, {&q.Perms, &d.Perms},
		{&q.Watches, &d.Watches}, {&q.WatchBytes, &d.WatchBytes}, {&q.Transactions, &d.Transactions},
		{&q.TransactionOp, &d.TransactionOp}, {&q.Events, &d.Events}} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	return q
}

// Store is a tree and everyone who uses it. All methods may be called from any goroutine.
type Store struct {
	quota Quota

	mu         sync.Mutex
	cur        *tree
	epochs     uint64
	gen        uint64
	conns      map[*Conn]struct{}
	hosts      map[*hostWatch]struct{}
	told       map[*told]struct{}
	introduced map[xen.DomID]bool
}

// New makes a Store with an empty tree: a root that domain 0 owns and nobody else may use (n0), as xenstored has it.
func New(q Quota) *Store {
	s := &Store{quota: q.withDefaults(), epochs: 1, conns: map[*Conn]struct{}{}, hosts: map[*hostWatch]struct{}{}, told: map[*told]struct{}{},
		introduced: map[xen.DomID]bool{0: true}}
	s.gen = 1
	s.cur = &tree{epoch: 1, owned: map[xen.DomID]int{0: 1},
		root: &node{epoch: 1, gen: 1, perms: []Perm{{0, None}}}}
	return s
}

func (s *Store) nextGen() uint64 {
	s.gen++
	return s.gen
}

// Introduce says that domain dom is there: @introduceDomain.
func (s *Store) Introduce(dom xen.DomID) { s.setIntroduced(dom, true, "@introduceDomain") }

// Release says that domain dom has shut down or is gone: @releaseDomain.
func (s *Store) Release(dom xen.DomID) { s.setIntroduced(dom, false, "@releaseDomain") }

func (s *Store) setIntroduced(dom xen.DomID, on bool, event string) {
	s.mu.Lock()
	if on {
		s.introduced[dom] = true
	} else if dom != 0 {
		delete(s.introduced, dom)
	}
	wake := s.fire([]change{{path: event}})
	s.mu.Unlock()
	wake.call()
}
