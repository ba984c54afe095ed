package isa

// Line drives an interrupt line.
type Line func(high bool)

// Clock gives system time in nanoseconds; it never goes back.
type Clock func() uint64

// Never is a deadline that does not come.
const Never = ^uint64(0)

// pulse makes an edge.
func (l Line) pulse() {
	l(true)
	l(false)
}
