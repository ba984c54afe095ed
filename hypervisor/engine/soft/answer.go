package soft

import "gozen/hypervisor/guestmem"

// An instruction that needs the hypervisor exits, and is executed again from its start when Run is called next; answers
// holds what was answered so far, so that an instruction with several device accesses
// finds the earlier ones done.
type answers struct {
	list [maxAccesses]deviceAccess
	rest deviceAccess // stands for the accesses beyond
	n    int          // answered
	pos  int          // consumed in this execution
	wait bool
	reg  bool // the answer to IN or RDMSR, or leave given by WRMSR
	data uint64
}

// maxAccesses is more device accesses than any instruction makes: FXSAVE has 64, and eight bytes for each of two that cross a page.
const maxAccesses = 96

type deviceAccess struct {
	gpa   guestmem.GPA
	size  uint8
	write bool
	data  uint64
}

func (a *answers) reset() { a.n, a.pos, a.wait, a.reg = 0, 0, false, false }

// next gives the answered access that comes next in this execution, if it is this one. Answers to other accesses, from before the guest changed its
// code or tables under the instruction, are dropped. Beyond the list's length everything reads as ones, so that no
// instruction asks for ever.
func (a *answers) next(gpa guestmem.GPA, size uint8, write bool) *deviceAccess {
	if a.pos == len(a.list) {
		a.rest.data = ^uint64(0)
		return &a.rest
	}
	p := &a.list[a.pos]
	if a.pos >= a.n || p.gpa != gpa || p.size != size || p.write != write {
		a.n = min(a.n, a.pos)
		return nil
	}
	a.pos++
	return p
}

// ask notes an access that the hypervisor is about to answer; next has just said that there is no answer.
func (a *answers) ask(gpa guestmem.GPA, size uint8, write bool) {
	a.list[a.n] = deviceAccess{gpa: gpa, size: size, write: write}
	a.wait = true
}

// take enters the hypervisor's answer at the start of Run.
func (a *answers) take(data uint64) {
	if a.wait {
		a.list[a.n].data = data
		a.n++
		a.wait = false
	} else {
		a.reg, a.data = true, data
	}
	a.pos = 0
}
