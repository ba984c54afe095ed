package bpf

import "fmt"

// Probe is what is to be measured: a Count, a Spread or a Latency. It is plain data.
type Probe struct {
	// Name is that of the figures (Session.Read), and part of the names of maps and programs. Letters, digits and _.
	Name string
	// Exactly one of these is set.
	Count   *Count
	Spread  *Spread
	Latency *Latency
}

// Point is a tracepoint, and which of its events count.
type Point struct {
	Tracepoint string // GROUP:EVENT
	// Thread names the field with the id of the thread that the event is about; it has to be one that is followed. Empty: the event is about the
	// thread that runs, whose process has to be one that is followed.
	Thread string
	Where  []Cond
}

// Cond is a condition on a field: (field & Mask) == Value, or != if Not is set. Mask 0 means all bits.
type Cond struct {
	Field string
	Mask  uint32
	Value int32
	Not   bool
}

// Count counts the events at a point, by thread and by the values of fields.
type Count struct {
	At   Point
	Keys []string
}

// Spread keeps the distribution of a field's values.
type Spread struct {
	At    Point
	Value string
	Keys  []string
}

// Latency keeps the distribution of the nanoseconds from an event at one of the start points to the next one at End, of the same thread. Keys are
// fields of End.
type Latency struct {
	Start []Point
	End   Point
	Keys  []string
}

// keysMax bounds the keys of a probe: they stand on a program's stack of 512 bytes.
const keysMax = 6

// keys gives the fields a probe counts by.
func (p *Probe) keys() []string {
	switch {
	case p.Count != nil:
		return p.Count.Keys
	case p.Spread != nil:
		return p.Spread.Keys
	case p.Latency != nil:
		return p.Latency.Keys
	}
	return nil
}

// Points gives the tracepoints a probe needs, the end before its starts: who attaches in this order counts no end without a start.
func (p *Probe) Points() []Point {
	switch {
	case p.Count != nil:
		return []Point{p.Count.At}
	case p.Spread != nil:
		return []Point{p.Spread.At}
	case p.Latency != nil:
		return append([]Point{p.Latency.End}, p.Latency.Start...)
	}
	return nil
}

// distribution says whether a probe has histograms.
func (p *Probe) distribution() bool { return p.Count == nil }

func (p *Probe) check() error {
	set := 0
	for _, on := range []bool{p.Count != nil, p.Spread != nil, p.Latency != nil} {
		if on {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("probe %q: it has to be one of count, spread and latency", p.Name)
	case p.Name == "" || len(p.Name) > 32:
		return fmt.Errorf("probe %q: a name has 1 to 32 letters", p.Name)
	case len(p.keys()) > keysMax:
		return fmt.Errorf("probe %s: %d keys, more than %d", p.Name, len(p.keys()), keysMax)
	case p.Latency != nil && len(p.Latency.Start) == 0:
		return fmt.Errorf("probe %s: a latency without a start", p.Name)
	}
	for _, c := range p.Name {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return fmt.Errorf("probe %q: a name has letters, digits and _ only", p.Name)
		}
	}
	return nil
}
