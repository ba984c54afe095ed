package xenstore

import (
	"maps"
	"strings"
)

// view is a tree together with the transaction, if any, that looks at it, and the actor who does.
type view struct {
	s    *Store
	t    *tree
	tx   *transaction // nil outside transactions
	who  actor
	done []change // what was changed, in order, for watches
}

// change is a modification of the tree that watches want to hear of.
type change struct {
	path    string
	removed *node // what was taken away
}

// get gives the node at path if the actor may use it so. Who may not look at the place learns nothing of what is there.
func (v *view) get(path string, want Access) (*node, error) {
	v.tx.touch(path)
	n, deepest := v.t.root.find(split(path))
	switch {
	case n != nil && v.who.may(n, want):
		return n, nil
	case n == nil && v.who.may(deepest, want):
		return nil, errNoEntry
	}
	return nil, errAccess
}

func (v *view) read(path string) ([]byte, error) {
	n, err := v.get(path, Read)
	if err != nil {
		return nil, err
	}
	return n.value, nil
}

func (v *view) list(path string) (names []string, gen uint64, err error) {
	n, err := v.get(path, Read)
	if err != nil {
		return nil, 0, err
	}
	return n.names, n.gen, nil
}

func (v *view) perms(path string) ([]Perm, error) {
	n, err := v.get(path, Read)
	if err != nil {
		return nil, err
	}
	return n.perms, nil
}

// write sets the value at path, making the node and those above where they are missing.
func (v *view) write(path string, value []byte) error {
	if err := v.tx.room(); err != nil {
		return err
	}
	n, err := v.get(path, Write)
	if err == nil {
		if err := v.checkSize(len(value), n.perms, n.names); err != nil {
			return err
		}
	} else if err != errNoEntry {
		return err
	} else if err := v.create(path, len(value)); err != nil {
		return err
	}
	v.t.change(path, v.s.nextGen()).value = value
	v.record(op{kind: opWrite, path: path, value: value})
	v.done = append(v.done, change{path: path})
	return nil
}

func (v *view) mkdir(path string) error {
	_, err := v.get(path, Write)
	if err != errNoEntry {
		return err
	}
	if err := v.create(path, 0); err != nil {
		return err
	}
	v.record(op{kind: opMkdir, path: path})
	v.done = append(v.done, change{path: path})
	return nil
}

// create makes the missing nodes down to path. They inherit permissions; a guest owns what it makes.
func (v *view) create(path string, valueSize int) error {
	if err := v.tx.room(); err != nil {
		return err
	}
	names := split(path)
	have := 0
	at := v.t.root
	for k := at.child(names[have]); k != nil; k = at.child(names[have]) {
		at, have = k, have+1
	}
	perms := at.perms
	if !v.who.priv {
		perms = append([]Perm{{v.who.dom, at.perms[0].Access}}, at.perms[1:]...)
		q := v.s.quota
		if v.t.owned[v.who.dom]+len(names)-have > q.Nodes {
			return errNoSpace
		}
		if err := v.checkSize(len(at.value)+len(names[have]), at.perms, at.names); err != nil {
			return err
		}
	}
	if err := v.checkSize(valueSize, perms, nil); err != nil {
		return err
	}
	base := "/" + strings.Join(names[:have], "/")
	n := v.t.change(base, v.s.nextGen())
	for _, name := range names[have:] {
		n = v.t.insert(n, name, perms, v.s.gen)
	}
	return nil
}

// checkSize refuses nodes larger than the quota. As in xenstored, a node is its value, permissions and list of children.
func (v *view) checkSize(value int, perms []Perm, names []string) error {
	if v.who.priv {
		return nil
	}
	size := value + 4*len(perms)
	for _, n := range names {
		size += len(n) + 1
	}
	if size > v.s.quota.NodeSize {
		return errNoSpace
	}
	return nil
}

// rm removes the node at path and all below. A missing node is no error if its parent exists.
func (v *view) rm(path string) error {
	if path == "/" {
		return errInvalid
	}
	_, err := v.get(path, Write)
	if err == errNoEntry && v.t.find(parent(path)) != nil {
		v.tx.touch(parent(path))
		return nil
	}
	if err != nil {
		return err
	}
	if err := v.tx.room(); err != nil {
		return err
	}
	gone := v.t.remove(path, v.s.nextGen())
	v.record(op{kind: opRm, path: path})
	v.done = append(v.done, change{path: path, removed: gone})
	return nil
}

// setPerms replaces the permissions of a node that the actor owns. Only domain 0 gives nodes away.
func (v *view) setPerms(path string, perms []Perm) error {
	n, err := v.get(path, Write)
	if err != nil {
		return err
	}
	if !v.who.priv {
		switch {
		case n.perms[0].Dom != v.who.dom:
			return errAccess
		case perms[0].Dom != v.who.dom:
			return errPerm
		case len(perms) > v.s.quota.Perms:
			return errNoSpace
		}
	}
	if err := v.checkSize(len(n.value), perms, n.names); err != nil {
		return err
	}
	if err := v.tx.room(); err != nil {
		return err
	}
	n = v.t.change(path, v.s.nextGen())
	if v.t.owned[n.perms[0].Dom]--; v.t.owned[n.perms[0].Dom] == 0 {
		delete(v.t.owned, n.perms[0].Dom)
	}
	v.t.owned[perms[0].Dom]++
	n.perms = perms
	v.record(op{kind: opPerms, path: path, perms: perms})
	v.done = append(v.done, change{path: path})
	return nil
}

func (v *view) record(o op) {
	if v.tx != nil {
		v.tx.ops = append(v.tx.ops, o)
	}
}

// snapshot gives a tree with the same content; from now on both copy what they change.
func (s *Store) snapshot(t *tree) *tree {
	s.epochs += 2
	t.epoch = s.epochs - 1
	return &tree{root: t.root, epoch: s.epochs, owned: maps.Clone(t.owned)}
}
