package fdt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Numbers of the format (5.2, 5.4.1).
const (
	magic       = 0xd00dfeed
	version     = 17
	lastCompat  = 16
	headerSize  = 40
	reserveSize = 16

	tokenBegin = 1
	tokenEnd   = 2
	tokenProp  = 3
	tokenStop  = 9
)

// MaxSize is the largest tree that Finish makes: Linux maps at most 2 MiB of it.
const MaxSize = 2 << 20

// Writer builds a tree, nodes nested as Begin and End say. Errors are kept and given by Finish. The zero value is ready.
type Writer struct {
	tree    []byte
	names   []byte
	offsets map[string]uint32
	reserve [][2]uint64
	depth   int
	rooted  bool
	props   bool // a property may follow: no child has been opened in this node yet
	err     error
}

func (w *Writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("device tree: "+format, args...)
	}
}

func (w *Writer) u32(v uint32) { w.tree = binary.BigEndian.AppendUint32(w.tree, v) }

func (w *Writer) pad() {
	for len(w.tree)%4 != 0 {
		w.tree = append(w.tree, 0)
	}
}

// Reserve notes a range of memory that nobody but its owner may use.
func (w *Writer) Reserve(addr, size uint64) { w.reserve = append(w.reserve, [2]uint64{addr, size}) }

// Begin opens a node; the first one is the root and has the name "".
func (w *Writer) Begin(name string) {
	if w.depth == 0 && (w.rooted || name != "") {
		w.fail("node %q beside the root", name)
	}
	if strings.ContainsAny(name, "\x00/") || w.depth > 0 && name == "" {
		w.fail("node name %q is not possible", name)
	}
	w.rooted, w.props = true, true
	w.depth++
	w.u32(tokenBegin)
	w.tree = append(append(w.tree, name...), 0)
	w.pad()
}

// End closes the node opened last.
func (w *Writer) End() {
	if w.depth == 0 {
		w.fail("end of a node that was not begun")
		return
	}
	w.depth--
	w.props = false
	w.u32(tokenEnd)
}

// Bytes gives the node a property.
func (w *Writer) Bytes(name string, value []byte) {
	if !w.props || w.depth == 0 {
		w.fail("property %q outside a node or behind a child", name)
	}
	if name == "" || strings.ContainsRune(name, 0) || len(value) > MaxSize {
		w.fail("property %q of %d bytes is not possible", name, len(value))
		return
	}
	off, ok := w.offsets[name]
	if !ok {
		if w.offsets == nil {
			w.offsets = map[string]uint32{}
		}
		off = uint32(len(w.names))
		w.offsets[name] = off
		w.names = append(append(w.names, name...), 0)
	}
	w.u32(tokenProp)
	w.u32(uint32(len(value)))
	w.u32(off)
	w.tree = append(w.tree, value...)
	w.pad()
}

// Empty gives a property without a value.
func (w *Writer) Empty(name string) { w.Bytes(name, nil) }

// Strings gives a property of one or several strings.
func (w *Writer) Strings(name string, values ...string) {
	var b []byte
	for _, v := range values {
		if strings.ContainsRune(v, 0) {
			w.fail("property %q holds a NUL", name)
		}
		b = append(append(b, v...), 0)
	}
	w.Bytes(name, b)
}

// Cells gives a property of 32-bit cells.
func (w *Writer) Cells(name string, values ...uint32) {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	w.Bytes(name, b)
}

// Wide gives a property of 64-bit values: addresses and sizes of two cells each.
func (w *Writer) Wide(name string, values ...uint64) {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	w.Bytes(name, b)
}

var errOpen = errors.New("device tree: a node is still open, or there is none")

// Finish gives the whole blob.
func (w *Writer) Finish() ([]byte, error) {
	switch {
	case w.err != nil:
		return nil, w.err
	case w.depth != 0 || !w.rooted:
		return nil, errOpen
	}
	tree := binary.BigEndian.AppendUint32(w.tree, tokenStop)
	reserve := headerSize
	structs := reserve + reserveSize*(len(w.reserve)+1)
	names := structs + len(tree)
	total := (names + len(w.names) + 7) &^ 7
	if total > MaxSize {
		return nil, fmt.Errorf("device tree: %d bytes, more than %d", total, MaxSize)
	}
	be := binary.BigEndian
	out := make([]byte, 0, total)
	for _, v := range []int{magic, total, structs, names, reserve, version, lastCompat, 0, len(w.names), len(tree)} {
		out = be.AppendUint32(out, uint32(v))
	}
	for _, r := range append(w.reserve, [2]uint64{}) {
		out = be.AppendUint64(be.AppendUint64(out, r[0]), r[1])
	}
	out = append(append(out, tree...), w.names...)
	return append(out, make([]byte, total-len(out))...), nil
}
