package soft

import "gozen/hypervisor/guestmem"

// An instruction that needs the hypervisor exits, and is executed again from its start when Run is called next; answers
// holds what was answered so far, so that an instruction with several device accesses
// finds the earlier ones done.
type answers struct {
	list [8]deviceAccess
	n    int // answered
	pos  int // consumed in this execution
	wait bool
	reg  bool // the answer to IN or RDMSR, or leave given by WRMSR
	data uint64
}

type deviceAccess struct {
	gpa   guestmem.GPA
	size  uint8
	write bool
	data  uint64
}

func (a *answers) reset() { a.n, a.pos, a.wait, a.reg = 0, 0, false, false }

// next gives the answered access that comes next in this execution, if it is this one.
func (a *answers) next(gpa guestmem.GPA, size uint8, write bool) *deviceAccess {
	if a.pos >= a.n {
		return nil
	}
	p := &a.list[a.pos]
	if p.gpa != gpa || p.size != size || p.write != write {
		return nil
	}
	a.pos++
	return p
}

// ask notes an access that the hypervisor is about to answer. Beyond the list's length the oldest is forgotten,
// so that such an instruction goes on (and repeats a device access) instead of hanging.
func (a *answers) ask(gpa guestmem.GPA, size uint8, write bool) {
	if a.n == len(a.list) {
		copy(a.list[:], a.list[1:])
		a.n--
	}
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
