package xenstore

import (
	"slices"

	"gozen/hypervisor/xen"
)

// node is one entry of a tree. A node is changed in place only by the tree whose epoch it carries; any other tree copies
// it first, so that a snapshot costs nothing until something changes.
type node struct {
	epoch uint64
	gen   uint64 // of the last change of value, permissions or list of children
	value []byte // replaced, never changed in place
	perms []Perm // likewise; at least one entry
	names []string
	kids  []*node // kids[i] is called names[i]; sorted by name
}

// tree is one version of the store: the current one, or a transaction's.
type tree struct {
	root  *node
	epoch uint64
	owned map[xen.DomID]int // nodes by owner
}

func (n *node) child(name string) *node {
	if i, ok := slices.BinarySearch(n.names, name); ok {
		return n.kids[i]
	}
	return nil
}

// find gives the node at the path of names, or nil, and the deepest one on the way that exists.
func (n *node) find(names []string) (found, deepest *node) {
	for _, name := range names {
		next := n.child(name)
		if next == nil {
			return nil, n
		}
		n = next
	}
	return n, n
}

func (t *tree) find(path string) *node {
	n, _ := t.root.find(split(path))
	return n
}

// own gives n itself if the tree may change it, or a copy that it may.
func (t *tree) own(n *node) *node {
	if n.epoch == t.epoch {
		return n
	}
	c := *n
	c.epoch = t.epoch
	c.names, c.kids = slices.Clone(n.names), slices.Clone(n.kids)
	return &c
}

// change gives the existing node at path for changing, having copied it and those above where needed.
func (t *tree) change(path string, gen uint64) *node {
	t.root = t.own(t.root)
	n := t.root
	for _, name := range split(path) {
		i, _ := slices.BinarySearch(n.names, name)
		n.kids[i] = t.own(n.kids[i])
		n = n.kids[i]
	}
	n.gen = gen
	return n
}

// insert puts a node called name with perms under parent, which the tree owns.
func (t *tree) insert(parent *node, name string, perms []Perm, gen uint64) *node {
	c := &node{epoch: t.epoch, gen: gen, perms: perms}
	i, _ := slices.BinarySearch(parent.names, name)
	parent.names = slices.Insert(parent.names, i, name)
	parent.kids = slices.Insert(parent.kids, i, c)
	parent.gen = gen
	t.owned[perms[0].Dom]++
	return c
}

// remove takes the node at path, not the root, out of the tree and gives it.
func (t *tree) remove(path string, gen uint64) *node {
	p := t.change(parent(path), gen)
	names := split(path)
	i, _ := slices.BinarySearch(p.names, names[len(names)-1])
	gone := p.kids[i]
	p.names = slices.Delete(p.names, i, i+1)
	p.kids = slices.Delete(p.kids, i, i+1)
	t.disown(gone)
	return gone
}

func (t *tree) disown(n *node) {
	for _, k := range n.kids {
		t.disown(k)
	}
	if d := n.perms[0].Dom; t.owned[d] > 1 {
		t.owned[d]--
	} else {
		delete(t.owned, d)
	}
}
