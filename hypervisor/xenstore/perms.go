package xenstore

import (
	"strconv"

	"gozen/hypervisor/xen"
)

// Access says what may be done with a node.
type Access uint8

// The accesses, to be or'ed.
const (
	None  Access = 0
	Read  Access = 1
	Write Access = 2
)

const accessLetters = "nrwb"

// Perm is one entry of a node's permission list. The first entry names the owner, who may do everything, and what domains not
// listed may do; each further one says what one domain may do.
type Perm struct {
	Dom    xen.DomID
	Access Access
}

// String gives the wire form, such as "r5".
func (p Perm) String() string { return accessLetters[p.Access&3:][:1] + strconv.Itoa(int(p.Dom)) }

// ParsePerm reads the wire form.
func ParsePerm(s string) (Perm, error) {
	if s == "" {
		return Perm{}, errInvalid
	}
	dom, err := strconv.ParseUint(s[1:], 10, 16)
	if err != nil {
		return Perm{}, errInvalid
	}
	for i := range len(accessLetters) {
		if s[0] == accessLetters[i] {
			return Perm{xen.DomID(dom), Access(i)}, nil
		}
	}
	return Perm{}, errInvalid
}

func parsePerms(list []string) ([]Perm, error) {
	if len(list) == 0 {
		return nil, errInvalid
	}
	out := make([]Perm, len(list))
	for i, s := range list {
		p, err := ParsePerm(s)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

// actor is whose rights an operation has.
type actor struct {
	dom  xen.DomID
	priv bool // domain 0 or the host: may do everything, has no quota
}

// may reports whether a may use n with access want.
func (a actor) may(n *node, want Access) bool {
	if a.priv || n.perms[0].Dom == a.dom {
		return true
	}
	for _, p := range n.perms[1:] {
		if p.Dom == a.dom {
			return p.Access&want == want
		}
	}
	return n.perms[0].Access&want == want
}
