package bpf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// recordMax bounds the record of a tracepoint, as the kernel does (PERF_MAX_TRACE_SIZE).
const recordMax = 8192

// Field is one field of a tracepoint's record.
type Field struct {
	Name   string
	Offset int // in bytes, below recordMax
	Size   int // in bytes
	Signed bool
	Array  bool // of more than one element, or of a length that the record tells
}

// Format is the layout of one tracepoint's record, as its file "format" in tracefs tells it.
type Format struct {
	Name   string
	ID     uint64 // what perf_event_open takes
	Fields []Field
	// Print is the kernel's recipe for people; Symbols reads it.
	Print string
}

// ErrFormat is wrapped by the errors of ParseFormat.
var ErrFormat = errors.New("not the format of a tracepoint")

// ParseFormat reads a "format" file. It believes nothing: a field that overlaps nothing sensible, lies outside a record or stands twice is an
// error.
func ParseFormat(text string) (*Format, error) {
	f := &Format{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "name":
			f.Name = value
		case "ID":
			id, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				return nil, fmt.Errorf("%w: ID %q", ErrFormat, value)
			}
			f.ID = id
		case "field":
			if err := f.add(value); err != nil {
				return nil, err
			}
		case "print fmt":
			f.Print = value
		}
	}
	switch {
	case f.Name == "":
		return nil, fmt.Errorf("%w: it has no name", ErrFormat)
	case f.ID == 0:
		return nil, fmt.Errorf("%w: %s has no ID", ErrFormat, f.Name)
	case len(f.Fields) == 0:
		return nil, fmt.Errorf("%w: %s has no fields", ErrFormat, f.Name)
	}
	return f, nil
}

// add takes a line such as "u64 info1;	offset:32;	size:8;	signed:0;".
func (f *Format) add(line string) error {
	parts := strings.Split(line, ";")
	decl := strings.TrimSpace(parts[0])
	d := Field{Name: decl[strings.LastIndexAny(decl, " \t")+1:], Offset: -1, Size: -1}
	if name, _, ok := strings.Cut(d.Name, "["); ok {
		d.Name, d.Array = name, true
	}
	if strings.HasPrefix(decl, "__data_loc ") || strings.HasPrefix(decl, "__rel_loc ") {
		d.Array = true
	}
	for _, p := range parts[1:] {
		key, value, _ := strings.Cut(strings.TrimSpace(p), ":")
		n, err := strconv.ParseUint(value, 10, 16)
		switch {
		case key == "offset" && err == nil:
			d.Offset = int(n)
		case key == "size" && err == nil:
			d.Size = int(n)
		case key == "signed" && err == nil:
			d.Signed = n != 0
		case key == "offset", key == "size", key == "signed":
			return fmt.Errorf("%w: field %q", ErrFormat, line)
		}
	}
	switch {
	case d.Name == "" || d.Offset < 0 || d.Size < 0:
		return fmt.Errorf("%w: field %q", ErrFormat, line)
	case d.Offset+d.Size > recordMax:
		return fmt.Errorf("%w: field %s ends at byte %d of a record of at most %d", ErrFormat, d.Name, d.Offset+d.Size, recordMax)
	}
	if _, twice := f.Field(d.Name); twice == nil {
		return fmt.Errorf("%w: field %s stands twice", ErrFormat, d.Name)
	}
	f.Fields = append(f.Fields, d)
	return nil
}

// Field finds a field by name.
func (f *Format) Field(name string) (Field, error) {
	for _, d := range f.Fields {
		if d.Name == name {
			return d, nil
		}
	}
	return Field{}, fmt.Errorf("tracepoint %s has no field %s on this kernel", f.Name, name)
}

// number finds a field that a program can load at once: a whole number that lies on a multiple of its size.
func (f *Format) number(name string) (Field, error) {
	d, err := f.Field(name)
	if err != nil {
		return d, err
	}
	switch {
	case d.Array:
		return d, fmt.Errorf("field %s of tracepoint %s is no number", name, f.Name)
	case d.Size != 1 && d.Size != 2 && d.Size != 4 && d.Size != 8, d.Offset%d.Size != 0:
		return d, fmt.Errorf("field %s of tracepoint %s has %d bytes at offset %d, which cannot be loaded", name, f.Name, d.Size, d.Offset)
	}
	return d, nil
}

// Symbols gives the lists of names in Print, one for each __print_symbolic and in their order: kvm_exit has one for VT-x and one for SVM. Numbers
// that it cannot read are left out.
func (f *Format) Symbols() []map[uint64]string {
	var all []map[uint64]string
	rest := f.Print
	for {
		_, after, ok := strings.Cut(rest, "__print_symbolic(")
		if !ok {
			return all
		}
		_, after, ok = strings.Cut(after, ",") // the expression
		if !ok {
			return all
		}
		m := map[uint64]string{}
		for {
			var n uint64
			var word string
			var read bool
			n, word, read, after, ok = symbol(after)
			if !ok {
				break
			}
			if read {
				m[n] = word
			}
		}
		all = append(all, m)
		rest = after
	}
}

// symbol reads one `{ 0x040 + 1, "DB excp" }`, whose name may be in pieces ("KVM_EXIT_" "IO"); ok is false at the end of the list.
func symbol(text string) (n uint64, word string, read bool, rest string, ok bool) {
	text = strings.TrimLeft(text, " ,\t")
	if !strings.HasPrefix(text, "{") {
		return 0, "", false, text, false
	}
	body, rest, ok := strings.Cut(text[1:], "}")
	if !ok {
		return 0, "", false, "", false
	}
	number, name, ok := strings.Cut(body, ",")
	if !ok {
		return 0, "", false, rest, true
	}
	read = true
	for part := range strings.SplitSeq(number, "+") {
		v, err := strconv.ParseInt(strings.Trim(part, " ()uUlL"), 0, 64)
		read = read && err == nil
		n += uint64(v)
	}
	return n, strings.Trim(strings.ReplaceAll(name, `" "`, ""), ` "`), read, rest, true
}
