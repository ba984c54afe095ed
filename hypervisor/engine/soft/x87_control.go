package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/x86/softfloat"
)

func fnstcw(c *CPU, in *decode.Inst) bool { return c.storeM(in, uint64(c.fx.FCW), 2) }
func fnstsw(c *CPU, in *decode.Inst) bool { return c.storeM(in, uint64(c.fx.FSW), 2) }

func fnstswAX(c *CPU, in *decode.Inst) bool {
	c.setReg(x86.RAX, 2, uint64(c.fx.FSW))
	return true
}

func fnclex(c *CPU, in *decode.Inst) bool {
	c.fx.FSW &^= 0x7f | fswES | fswB
	return true
}

func fninit(c *CPU, in *decode.Inst) bool {
	c.fx.init()
	return true
}

func fldcw(c *CPU, in *decode.Inst) bool {
	v, ok := c.loadM(in, 2)
	if ok {
		c.fx.setControl(uint16(v))
	}
	return ok
}

func (f *FPU) setControl(v uint16) {
	f.FCW = v&fcwMask | fcwOne
	f.summary()
}

// tags makes the full tag word: valid 0, zero 1, special 2, empty 3 (SDM 1 8.1.7).
func (f *FPU) tags() (w uint16) {
	for i, r := range f.ST {
		n := softfloat.Unpack80(r.Frac, r.SE)
		t := uint16(2)
		switch {
		case f.Valid>>i&1 == 0:
			t = 3
		case n.Class == softfloat.Zero:
			t = 1
		case n.Class == softfloat.Finite && !n.Denorm:
			t = 0
		}
		w |= t << (2 * i)
	}
	return w
}

func (f *FPU) setTags(w uint16) {
	f.Valid = 0
	for i := 0; i < 8; i++ {
		if w>>(2*i)&3 != 3 {
			f.Valid |= 1 << i
		}
	}
}

// envImage is the environment in words of the operand's size (SDM 1 figures 8-9 to 8-12). Selectors read as zero.
type envImage struct {
	words [7]uint64
	size  uint8 // of a word: 2 or 4
}

// envSize gives the size of the words by operand size.
func (c *CPU) envSize(in *decode.Inst) uint8 {
	if (c.mode == decode.Mode16) != (in.Flags&decode.Flag66 != 0) {
		return 2
	}
	return 4
}

// realFormat tells the real-mode layout, with linear pointers, from the protected-mode one.
func (c *CPU) realFormat() bool { return c.cr0&x86.CR0PE == 0 || c.flags&x86.FlagVM != 0 }

func (c *CPU) environment(size uint8) (m envImage) {
	f := &c.fx
	const ones = 0xffff0000 // reserved halves of 32-bit words
	m.size = size
	m.words = [7]uint64{ones | uint64(f.FCW), ones | uint64(f.FSW), ones | uint64(f.tags()), f.FIP, uint64(f.FOP) << 16, f.FDP, ones}
	if c.realFormat() {
		m.words[3], m.words[4] = f.FIP&0xffff, f.FIP>>16&0xffff<<12|uint64(f.FOP)
		m.words[5], m.words[6] = f.FDP&0xffff, f.FDP>>16&0xffff<<12
		if size == 2 {
			m.words[4], m.words[6] = f.FIP>>16&15<<12|uint64(f.FOP), f.FDP>>16&15<<12
		}
	} else if size == 2 {
		m.words[4] = 0
		m.words[6] = 0
	}
	return m
}

func (c *CPU) setEnvironment(m *envImage) {
	f := &c.fx
	f.FSW = uint16(m.words[1])
	f.setTags(uint16(m.words[2]))
	switch {
	case !c.realFormat():
		f.FIP, f.FDP = m.words[3], m.words[5]
		if m.size == 4 {
			f.FOP = uint16(m.words[4]>>16) & 0x7ff
		}
	default:
		f.FIP = m.words[3]&0xffff | m.words[4]>>12&0xffff<<16
		f.FDP = m.words[5]&0xffff | m.words[6]>>12&0xffff<<16
		f.FOP = uint16(m.words[4]) & 0x7ff
	}
	f.setControl(uint16(m.words[0]))
}

// envAddress checks n bytes at the memory operand.
func (c *CPU) envAddress(in *decode.Inst, n uint8, write bool) (uint64, bool) {
	acc := accRead
	if write {
		acc = accWrite
	}
	lin, ok := c.lin(in, n, write)
	return lin, ok && c.probe(lin, n, acc)
}

func (c *CPU) storeEnv(lin uint64, m *envImage) bool {
	for i, w := range m.words {
		if !c.store(c.wrap(lin+uint64(i)*uint64(m.size)), trunc(w, m.size), m.size) {
			return false
		}
	}
	return true
}

func (c *CPU) loadEnv(lin uint64, m *envImage) (ok bool) {
	for i := range m.words {
		if m.words[i], ok = c.load(c.wrap(lin+uint64(i)*uint64(m.size)), m.size); !ok {
			return false
		}
	}
	return true
}

// fnstenv masks all exceptions behind the store.
func fnstenv(c *CPU, in *decode.Inst) bool {
	m := c.environment(c.envSize(in))
	lin, ok := c.envAddress(in, 7*m.size, true)
	if !ok || !c.storeEnv(lin, &m) {
		return false
	}
	c.fx.setControl(c.fx.FCW | 0x3f)
	return true
}

func fldenv(c *CPU, in *decode.Inst) bool {
	m := envImage{size: c.envSize(in)}
	lin, ok := c.envAddress(in, 7*m.size, false)
	if !ok || !c.loadEnv(lin, &m) {
		return false
	}
	c.setEnvironment(&m)
	return true
}

// fnsave stores the environment and the registers by stack order, and initialises.
func fnsave(c *CPU, in *decode.Inst) bool {
	m := c.environment(c.envSize(in))
	lin, ok := c.envAddress(in, 7*m.size+80, true)
	if !ok || !c.storeEnv(lin, &m) {
		return false
	}
	at := lin + 7*uint64(m.size)
	for i := uint8(0); i < 8; i++ {
		v := c.fx.raw(i)
		if !c.store64(c.wrap(at), v.Frac) || !c.store16(c.wrap(at+8), uint64(v.SE)) {
			return false
		}
		at += 10
	}
	c.fx.init()
	return true
}

func frstor(c *CPU, in *decode.Inst) bool {
	m := envImage{size: c.envSize(in)}
	lin, ok := c.envAddress(in, 7*m.size+80, false)
	if !ok || !c.loadEnv(lin, &m) {
		return false
	}
	var st [8]x86.F80
	at := lin + 7*uint64(m.size)
	for i := range st {
		frac, ok := c.load64(c.wrap(at))
		if !ok {
			return false
		}
		se, ok := c.load16(c.wrap(at + 8))
		if !ok {
			return false
		}
		st[i] = x86.F80{Frac: frac, SE: uint16(se)}
		at += 10
	}
	c.setEnvironment(&m)
	for i := range st {
		c.fx.ST[c.fx.phys(uint8(i))] = st[i]
	}
	return true
}
