package xenstore

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"syscall"

	"gozen/hypervisor/xen"
)

var ok = []byte("OK\x00")

func header(b []byte) xen.XSDSockmsg {
	le := binary.LittleEndian
	return xen.XSDSockmsg{Type: le.Uint32(b), ReqID: le.Uint32(b[4:]), TxID: le.Uint32(b[8:]), Len: le.Uint32(b[12:])}
}

func encode(h xen.XSDSockmsg, payload []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, headerSize+len(payload))
	b = le.AppendUint32(b, h.Type)
	b = le.AppendUint32(b, h.ReqID)
	b = le.AppendUint32(b, h.TxID)
	b = le.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// errorName gives the name of an errno as the wire has it.
func errorName(err error) string {
	names := map[error]string{errAccess: "EACCES", errAgain: "EAGAIN", errBusy: "EBUSY", errExists: "EEXIST",
		errInvalid: "EINVAL", errNoEntry: "ENOENT", errNoSpace: "ENOSPC", errNoSys: "ENOSYS", errPerm: "EPERM", errTooBig: "E2BIG"}
	if n, ok := names[err]; ok {
		return n
	}
	return "EIO"
}

// serve carries out one request and queues the answer and the events it causes.
func (c *Conn) serve(h xen.XSDSockmsg, payload []byte) {
	s := c.s
	s.mu.Lock()
	if c.closed {
		s.mu.Unlock()
		return
	}
	changes, fresh := c.request(h, payload)
	wake := s.fire(changes)
	if fresh != nil {
		c.event(fresh, fresh.path) // a watch fires once when it is set, after its answer
	}
	s.mu.Unlock()
	wake.call()
}

// request answers h and gives what it changed, and the watch it set.
func (c *Conn) request(h xen.XSDSockmsg, payload []byte) ([]change, *watch) {
	v := &view{s: c.s, t: c.s.cur, who: c.who}
	if h.TxID != 0 && h.Type != xen.XS_WATCH && h.Type != xen.XS_UNWATCH && h.Type != xen.XS_RESET_WATCHES {
		tx := c.transactions[h.TxID]
		if tx == nil {
			c.fail(h, errNoEntry)
			return nil, nil
		}
		v.t, v.tx = tx.t, tx
	}
	var reply []byte
	var fresh *watch
	var err error
	switch h.Type {
	case xen.XS_WATCH:
		fresh, err = c.addWatch(payload)
	case xen.XS_UNWATCH:
		err = c.removeWatch(payload)
	case xen.XS_RESET_WATCHES:
		c.dropAll()
	case xen.XS_TRANSACTION_START:
		reply, err = c.start(h.TxID)
	case xen.XS_TRANSACTION_END:
		v.done, err = c.end(h.TxID, payload)
		v.tx = nil
	default:
		reply, err = v.serve(h.Type, payload)
	}
	if err == nil && len(reply) > xen.XENSTORE_PAYLOAD_MAX {
		err = errTooBig
	}
	if err != nil {
		c.fail(h, err)
		return nil, nil
	}
	if reply == nil {
		reply = ok
	}
	c.answer(h, h.Type, reply)
	if v.tx != nil { // events come at commit
		return nil, fresh
	}
	return v.done, fresh
}

func (c *Conn) fail(h xen.XSDSockmsg, err error) {
	c.answer(h, xen.XS_ERROR, append([]byte(errorName(err)), 0))
}

// serve carries out requests that only look at or change the tree. A nil reply without error stands for OK.
func (v *view) serve(typ uint32, payload []byte) ([]byte, error) {
	switch typ {
	case xen.XS_READ, xen.XS_DIRECTORY, xen.XS_GET_PERMS, xen.XS_MKDIR, xen.XS_RM:
		path, err := v.onePath(payload)
		if err != nil {
			return nil, err
		}
		return v.simple(typ, path)
	case xen.XS_WRITE:
		name, value, found := bytes.Cut(payload, []byte{0})
		if !found {
			return nil, errInvalid
		}
		path, err := canonical(string(name), v.who.dom)
		if err != nil {
			return nil, err
		}
		return nil, v.write(path, bytes.Clone(value))
	case xen.XS_SET_PERMS:
		args, err := stringsOf(payload, 2, 1<<12)
		if err != nil {
			return nil, err
		}
		path, err := canonical(args[0], v.who.dom)
		if err != nil {
			return nil, err
		}
		perms, err := parsePerms(args[1:])
		if err != nil {
			return nil, err
		}
		return nil, v.setPerms(path, perms)
	case xen.XS_DIRECTORY_PART:
		return v.directoryPart(payload)
	case xen.XS_GET_DOMAIN_PATH, xen.XS_IS_DOMAIN_INTRODUCED:
		return v.domain(typ, payload)
	case xen.XS_CONTROL, xen.XS_INTRODUCE, xen.XS_RELEASE, xen.XS_RESUME, xen.XS_SET_TARGET:
		if !v.who.priv {
			return nil, errAccess
		}
	}
	return nil, errNoSys
}

func (v *view) simple(typ uint32, path string) ([]byte, error) {
	switch typ {
	case xen.XS_READ:
		b, err := v.read(path)
		return append([]byte{}, b...), err
	case xen.XS_DIRECTORY:
		names, _, err := v.list(path)
		return joined(names), err
	case xen.XS_GET_PERMS:
		perms, err := v.perms(path)
		b := []byte{}
		for _, p := range perms {
			b = append(append(b, p.String()...), 0)
		}
		return b, err
	case xen.XS_MKDIR:
		return nil, v.mkdir(path)
	}
	return nil, v.rm(path)
}

func joined(names []string) []byte {
	b := []byte{}
	for _, n := range names {
		b = append(append(b, n...), 0)
	}
	return b
}

// directoryPart gives a piece of a long list: the generation, then names from a byte offset on, as many as fit. An empty
// name marks the end.
func (v *view) directoryPart(payload []byte) ([]byte, error) {
	args, err := stringsOf(payload, 2, 2)
	if err != nil {
		return nil, err
	}
	path, err := canonical(args[0], v.who.dom)
	if err != nil {
		return nil, err
	}
	off, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return nil, errInvalid
	}
	names, gen, err := v.list(path)
	if err != nil {
		return nil, err
	}
	all := joined(names)
	if off > uint64(len(all)) {
		return nil, errInvalid
	}
	out := append(strconv.AppendUint(nil, gen, 10), 0)
	rest := all[off:]
	for len(rest) > 0 {
		n := bytes.IndexByte(rest, 0) + 1
		if len(out)+n > xen.XENSTORE_PAYLOAD_MAX-1 {
			return out, nil
		}
		out = append(out, rest[:n]...)
		rest = rest[n:]
	}
	return append(out, 0), nil
}

func (v *view) domain(typ uint32, payload []byte) ([]byte, error) {
	args, err := stringsOf(payload, 1, 1)
	if err != nil {
		return nil, err
	}
	dom, err := strconv.ParseUint(args[0], 10, 16)
	if err != nil {
		return nil, errInvalid
	}
	if typ == xen.XS_GET_DOMAIN_PATH {
		return append([]byte(DomainPath(xen.DomID(dom))), 0), nil
	}
	if v.s.introduced[xen.DomID(dom)] {
		return []byte("T\x00"), nil
	}
	return []byte("F\x00"), nil
}

func (v *view) onePath(payload []byte) (string, error) {
	args, err := stringsOf(payload, 1, 1)
	if err != nil {
		return "", err
	}
	return canonical(args[0], v.who.dom)
}

// stringsOf splits a payload of lo to hi NUL-terminated strings.
func stringsOf(payload []byte, lo, hi int) ([]string, error) {
	if len(payload) == 0 || payload[len(payload)-1] != 0 {
		return nil, errInvalid
	}
	out := strings.Split(string(payload[:len(payload)-1]), "\x00")
	if len(out) < lo || len(out) > hi {
		return nil, errInvalid
	}
	return out, nil
}

func (c *Conn) watchArgs(payload []byte) (path, given, token string, err error) {
	args, err := stringsOf(payload, 2, 3) // a third one is reserved
	if err != nil {
		return "", "", "", err
	}
	given, token = args[0], args[1]
	if isSpecial(given) {
		if len(given) > xen.XENSTORE_REL_PATH_MAX {
			return "", "", "", errInvalid
		}
		return given, given, token, nil
	}
	path, err = canonical(given, c.who.dom)
	return path, given, token, err
}

func (c *Conn) addWatch(payload []byte) (*watch, error) {
	path, given, token, err := c.watchArgs(payload)
	if err != nil {
		return nil, err
	}
	for _, w := range c.watches {
		if w.path == path && w.token == token {
			return nil, errExists
		}
	}
	size := len(path) + len(token)
	if q := c.s.quota; !c.who.priv && (len(c.watches) >= q.Watches || c.watchBytes+size > q.WatchBytes) {
		return nil, errTooBig
	}
	w := &watch{path: path, token: token}
	if given != path {
		w.base = DomainPath(c.who.dom) + "/"
	}
	c.watches = append(c.watches, w)
	c.watchBytes += size
	return w, nil
}

func (c *Conn) removeWatch(payload []byte) error {
	path, _, token, err := c.watchArgs(payload)
	if err != nil {
		return err
	}
	for i, w := range c.watches {
		if w.path != path || w.token != token {
			continue
		}
		c.watches = append(c.watches[:i:i], c.watches[i+1:]...)
		c.watchBytes -= len(path) + len(token)
		kept := c.out[:0:0]
		for _, m := range c.out {
			if m.w == w {
				c.events--
			} else {
				kept = append(kept, m)
			}
		}
		c.out = kept
		return nil
	}
	return syscall.ENOENT
}

func (c *Conn) start(inside uint32) ([]byte, error) {
	if inside != 0 {
		return nil, errBusy
	}
	limit := 0
	if !c.who.priv {
		if limit = c.s.quota.TransactionOp; len(c.transactions) >= c.s.quota.Transactions {
			return nil, errNoSpace
		}
	}
	for c.lastTx++; c.lastTx == 0 || c.transactions[c.lastTx] != nil; c.lastTx++ {
	}
	c.transactions[c.lastTx] = c.s.begin(limit)
	return append(strconv.AppendUint(nil, uint64(c.lastTx), 10), 0), nil
}

func (c *Conn) end(id uint32, payload []byte) ([]change, error) {
	tx := c.transactions[id]
	if tx == nil {
		return nil, errNoEntry
	}
	args, err := stringsOf(payload, 1, 1)
	if err != nil || (args[0] != "T" && args[0] != "F") {
		return nil, errInvalid
	}
	delete(c.transactions, id)
	if args[0] == "F" {
		return nil, nil
	}
	return c.s.commit(tx, c.who)
}
