package sandbox

import "golang.org/x/sys/unix"

// Offsets in struct seccomp_data (linux/seccomp.h). Both host architectures are little-endian: the low half of an argument
// comes first.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// test is a condition on one half of an argument: arg & mask == value, or the opposite.
type test struct {
	arg   int
	high  bool // the upper 32 bits
	mask  uint32
	value uint32
	not   bool
}

// rule says which calls with one number pass: those that meet all tests of one of the alternatives. No alternative
// at all means that every call passes. Others get the action otherwise.
type rule struct {
	number    uint32
	any       [][]test
	pass      uint32 // SECCOMP_RET_*; 0 (which is SECCOMP_RET_KILL_THREAD, never used) stands for ALLOW
	otherwise uint32 // 0 stands for TRAP
}

// compile makes the program: the architecture first, then the rules in order. Each rule is a block of its own that ends
// in a verdict, so that jumps stay short and the call's number is still in the accumulator when the next block begins.
func compile(arch uint32, rules []rule) []unix.SockFilter {
	p := []unix.SockFilter{
		load(offArch),
		jumpEqual(arch, 1, 0),
		verdict(unix.SECCOMP_RET_TRAP),
		load(offNumber),
	}
	for _, r := range rules {
		b := r.block()
		p = append(p, jumpEqual(r.number, 0, len(b)))
		p = append(p, b...)
	}
	return append(p, verdict(unix.SECCOMP_RET_TRAP))
}

func (r *rule) block() []unix.SockFilter {
	pass, otherwise := r.pass, r.otherwise
	if pass == 0 {
		pass = unix.SECCOMP_RET_ALLOW
	}
	if otherwise == 0 {
		otherwise = unix.SECCOMP_RET_TRAP
	}
	if len(r.any) == 0 {
		return []unix.SockFilter{verdict(pass)}
	}
	var b []unix.SockFilter
	for _, all := range r.any {
		b = append(b, alternative(all, pass)...)
	}
	return append(b, verdict(otherwise))
}

// alternative goes on behind itself as soon as a test fails.
func alternative(all []test, pass uint32) []unix.SockFilter {
	size := 1
	for _, t := range all {
		size += t.size()
	}
	var b []unix.SockFilter
	for _, t := range all {
		off := uint32(offArgs + 8*t.arg)
		if t.high {
			off += 4
		}
		b = append(b, load(off))
		if t.mask != ^uint32(0) {
			b = append(b, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: t.mask})
		}
		fail := size - len(b) - 1
		if t.not {
			b = append(b, jumpEqual(t.value, fail, 0))
		} else {
			b = append(b, jumpEqual(t.value, 0, fail))
		}
	}
	return append(b, verdict(pass))
}

func (t *test) size() int {
	if t.mask != ^uint32(0) {
		return 3
	}
	return 2
}

func load(off uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
}

// jumpEqual skips yes or no instructions.
func jumpEqual(v uint32, yes, no int) unix.SockFilter {
	if yes > 255 || no > 255 {
		panic("sandbox: a rule is too long for a jump")
	}
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(yes), Jf: uint8(no), K: v}
}

func verdict(v uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v}
}
