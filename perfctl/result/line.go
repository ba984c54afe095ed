package result

import (
	"fmt"
	"strconv"
	"strings"
)

// Kinds of lines.
const (
	Hello   = "hello"   // Value: version, Name: mode
	Fact    = "fact"    // Name, Text
	Begin   = "begin"   // Name
	Batch   = "batch"   // Name, Ops, Unit, Value
	Samples = "samples" // Name, Unit, Values: one for each operation
	Mark    = "mark"    // Name, Ops since the last one, Requests, Bytes: the guest waits until its counters were read
	Skip    = "skip"    // Name, Text
	End     = "end"
)

// Line is one line of a benchmark guest.
type Line struct {
	Kind  string
	Name  string
	Text  string
	Unit  string // ticks or ns, for all operations of the batch
	Ops   uint64
	Value uint64
	// Values are those of single operations; Requests and Bytes what a device has had so far.
	Values          []uint64
	Requests, Bytes uint64
}

// linePrefix begins the lines that are meant for us.
const linePrefix = "gauge: "

// maxLine is longer than any line of a guest, maxOps more than the operations of any batch.
const (
	maxLine = 400
	maxOps  = 1 << 32
)

// ParseLine reads one line. ok is false for a line that is not meant for us, such as another program's on the same console; an error tells of
// one that is, and is wrong.
func ParseLine(s string) (l Line, ok bool, err error) {
	s = strings.TrimRight(s, "\r\n")
	if i := strings.LastIndex(s, linePrefix); i >= 0 && strings.Trim(s[:i], "\r") == "" {
		s = s[i+len(linePrefix):]
	} else {
		return Line{}, false, nil
	}
	if len(s) > maxLine {
		return Line{}, true, fmt.Errorf("a line of %d bytes: %.40q", len(s), s)
	}
	f := strings.Fields(s)
	if len(f) == 0 {
		return Line{}, true, fmt.Errorf("an empty line")
	}
	l.Kind = f[0]
	switch {
	case l.Kind == Hello && len(f) == 4 && f[2] == "mode":
		l.Name = f[3]
		l.Value, err = strconv.ParseUint(f[1], 10, 16)
	case l.Kind == Fact && len(f) >= 3, l.Kind == Skip && len(f) >= 3:
		l.Name, l.Text = f[1], strings.Join(f[2:], " ")
	case l.Kind == Begin && len(f) == 2:
		l.Name = f[1]
	case l.Kind == Batch && len(f) == 6 && f[2] == "ops" && (f[4] == "ticks" || f[4] == "ns"):
		l.Name, l.Unit = f[1], f[4]
		if l.Ops, err = strconv.ParseUint(f[3], 10, 64); err == nil {
			l.Value, err = strconv.ParseUint(f[5], 10, 63)
		}
		if err == nil && (l.Ops == 0 || l.Ops > maxOps) {
			err = fmt.Errorf("%d operations", l.Ops)
		}
	case l.Kind == Samples && len(f) >= 4 && f[2] == "ns":
		l.Name, l.Unit = f[1], f[2]
		l.Values, err = values(f[3:])
	case l.Kind == Mark && len(f) == 8 && f[2] == "ops" && f[4] == "requests" && f[6] == "bytes":
		var v []uint64
		if v, err = values([]string{f[3], f[5], f[7]}); err == nil {
			l.Name, l.Ops, l.Requests, l.Bytes = f[1], v[0], v[1], v[2]
		}
	case l.Kind == End && len(f) == 1:
	default:
		err = fmt.Errorf("not a known line")
	}
	if err != nil {
		return Line{}, true, fmt.Errorf("guest line %q: %w", s, err)
	}
	return l, true, nil
}

func values(words []string) (out []uint64, err error) {
	for _, w := range words {
		v, err := strconv.ParseUint(w, 10, 63)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
