package sandbox

const whole = ^uint32(0)

// low gives the tests that the argument, as the 32-bit integer that the kernel makes of it, equals v.
func low(arg int, v uint32) []test { return []test{{arg: arg, mask: whole, value: v}} }

// equal gives the tests that the whole argument equals v.
func equal(arg int, v uint64) []test {
	return []test{{arg: arg, mask: whole, value: uint32(v)}, {arg: arg, high: true, mask: whole, value: uint32(v >> 32)}}
}

// clear gives the tests that none of the given bits is set.
func clear(arg int, bits uint32) []test { return []test{{arg: arg, mask: bits}} }

// field gives the tests that the bits under mask equal v.
func field(arg int, mask, v uint32) []test { return []test{{arg: arg, mask: mask, value: v}} }

// not gives the opposite of a single test.
func not(t []test) []test {
	n := t[0]
	n.not = !n.not
	return []test{n}
}

// notUpper gives the test that the upper half of the argument is not v.
func notUpper(arg int, v uint32) []test {
	return []test{{arg: arg, high: true, mask: whole, value: v, not: true}}
}

// all joins tests.
func all(parts ...[]test) []test {
	var out []test
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// oneOf gives an alternative for each value.
func oneOf(arg int, values ...uint32) [][]test {
	var out [][]test
	for _, v := range values {
		out = append(out, low(arg, v))
	}
	return out
}
