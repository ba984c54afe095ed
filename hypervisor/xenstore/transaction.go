package xenstore

// transaction is a private version of the tree with a log of what it looked at and did.
type transaction struct {
	t     *tree
	base  *node             // root of the tree when the transaction began
	seen  map[string]uint64 // path -> generation in base, 0 for a missing node
	ops   []op
	limit int
	over  bool // looked at or did more than the limit
}

type opKind uint8

const (
	opWrite opKind = iota
	opMkdir
	opRm
	opPerms
)

// op is a modification, to be done again at commit if the tree has moved on.
type op struct {
	kind  opKind
	path  string
	value []byte
	perms []Perm
}

func (s *Store) begin(limit int) *transaction {
	base := s.cur.root
	return &transaction{t: s.snapshot(s.cur), base: base, seen: map[string]uint64{}, limit: limit}
}

// touch notes that the transaction depends on the node at path. It may be called on nil.
func (tx *transaction) touch(path string) {
	if tx == nil || tx.over {
		return
	}
	if _, ok := tx.seen[path]; ok {
		return
	}
	if tx.limit > 0 && len(tx.seen) >= tx.limit {
		tx.over = true
		return
	}
	n, _ := tx.base.find(split(path))
	tx.seen[path] = generation(n)
}

// room refuses further changes in a transaction that has grown too long.
func (tx *transaction) room() error {
	if tx != nil && (tx.over || (tx.limit > 0 && len(tx.ops) >= tx.limit)) {
		return errNoSpace
	}
	return nil
}

func generation(n *node) uint64 {
	if n == nil {
		return 0
	}
	return n.gen
}

// commit makes the transaction's changes current, or fails with EAGAIN if something it looked at has changed since it
// began. It gives the changes for the watches. Nothing is changed when it fails.
func (s *Store) commit(tx *transaction, who actor) ([]change, error) {
	if tx.over {
		return nil, errNoSpace
	}
	for path, gen := range tx.seen {
		if generation(s.cur.find(path)) != gen {
			return nil, errAgain
		}
	}
	if len(tx.ops) == 0 {
		return nil, nil
	}
	v := &view{s: s, t: s.snapshot(s.cur), who: who}
	for _, o := range tx.ops {
		if err := v.redo(o); err != nil {
			return nil, err
		}
	}
	s.cur = v.t
	return v.done, nil
}

func (v *view) redo(o op) error {
	switch o.kind {
	case opWrite:
		return v.write(o.path, o.value)
	case opMkdir:
		return v.mkdir(o.path)
	case opRm:
		return v.rm(o.path)
	}
	return v.setPerms(o.path, o.perms)
}
