package isa

// Ports of the 8042, of system control port A, and of the chipset's reset control.
const (
	PortKBCData   = 0x60
	PortKBCStatus = 0x64
	PortSystemA   = 0x92
	PortReset     = 0xcf9
)

// Commands and bits of the 8042 (IBM PS/2 technical reference, keyboard controller).
const (
	kbcReadMode   = 0x20
	kbcWriteMode  = 0x60
	kbcAuxOff     = 0xa7
	kbcAuxOn      = 0xa8
	kbcTestAux    = 0xa9
	kbcSelfTest   = 0xaa
	kbcTestKbd    = 0xab
	kbcKbdOff     = 0xad
	kbcKbdOn      = 0xae
	kbcReadOut    = 0xd0
	kbcWriteOut   = 0xd1
	kbcLoopKbd    = 0xd2
	kbcLoopAux    = 0xd3
	kbcToAux      = 0xd4
	kbcPulse      = 0xf0
	kbcResetLine  = 1 // of the output port: low resets
	kbcFull       = 1
	kbcSystem     = 4
	kbcCommand    = 8
	kbcUnlocked   = 0x10
	kbcAuxFull    = 0x20
	kbcTimeout    = 0x40
	kbcIntKbd     = 1
	kbdAck        = 0xfa
	kbdResend     = 0xfe
	kbdReset      = 0xff
	kbdIdentify   = 0xf2
	kbdLEDs       = 0xed
	kbdScanSet    = 0xf0
	kbdRate       = 0xf3
	kbdEcho       = 0xee
	kbdPassed     = 0xaa
	maxKeyAnswers = 16
)

// Keyboard is an 8042 with a keyboard that nobody types on: it answers commands, so that probing it does not wait for timeouts, and resets
// the machine. There is no mouse.
type Keyboard struct {
	irq   Line // interrupt line 1
	reset func()
	mode  uint8
	a20   uint8 // the output port
	cmd   uint8 // controller command that waits for a byte
	param bool  // the keyboard waits for a command's second byte
	queue []answer
	last  uint8
	wrote bool // the last write was a command
}

// answer is a byte on its way to the guest.
type answer struct {
	v   uint8
	aux bool
	bad bool // nobody answered
}

// NewKeyboard makes the controller; reset is called when the guest asks for a reset of the processor.
func NewKeyboard(irq Line, reset func()) *Keyboard {
	return &Keyboard{irq: irq, reset: reset, mode: kbcSystem | 0x20, a20: 3}
}

func (k *Keyboard) push(a answer) {
	if len(k.queue) < maxKeyAnswers {
		k.queue = append(k.queue, a)
	}
	k.update()
}

func (k *Keyboard) update() {
	k.irq(len(k.queue) > 0 && !k.queue[0].aux && k.mode&kbcIntKbd != 0)
}

// ReadData and WriteData are port 0x60.
func (k *Keyboard) ReadData(uint64, uint8) uint64 {
	if len(k.queue) > 0 {
		k.last = k.queue[0].v
		if k.queue = k.queue[1:]; len(k.queue) == 0 {
			k.queue = nil
		}
		k.irq(false) // an edge for each byte
		k.update()
	}
	return uint64(k.last)
}

// WriteData gives a byte to whoever the command before it named, or to the keyboard.
func (k *Keyboard) WriteData(_ uint64, _ uint8, v uint64) {
	b, cmd := uint8(v), k.cmd
	k.cmd, k.wrote = 0, false
	switch cmd {
	case kbcWriteMode:
		k.mode = b
		k.update()
	case kbcWriteOut:
		k.output(b)
	case kbcLoopKbd:
		k.push(answer{v: b})
	case kbcLoopAux:
		k.push(answer{v: b, aux: true})
	case kbcToAux:
		k.push(answer{v: kbdResend, aux: true, bad: true})
	default:
		k.key(b)
	}
}

// key is a byte for the keyboard.
func (k *Keyboard) key(b uint8) {
	if k.param {
		k.param = false
		k.push(answer{v: kbdAck})
		return
	}
	switch b {
	case kbdEcho:
		k.push(answer{v: kbdEcho})
		return
	case kbdLEDs, kbdScanSet, kbdRate:
		k.param = true
	}
	k.push(answer{v: kbdAck})
	switch b {
	case kbdReset:
		k.push(answer{v: kbdPassed})
	case kbdIdentify:
		k.push(answer{v: 0xab})
		k.push(answer{v: 0x83})
	}
}

// ReadStatus and WriteCommand are port 0x64.
func (k *Keyboard) ReadStatus(uint64, uint8) uint64 {
	s := uint64(kbcUnlocked) | uint64(k.mode&kbcSystem)
	if k.wrote {
		s |= kbcCommand
	}
	if len(k.queue) > 0 {
		s |= kbcFull
		if k.queue[0].aux {
			s |= kbcAuxFull
		}
		if k.queue[0].bad {
			s |= kbcTimeout
		}
	}
	return s
}

// WriteCommand is a command for the controller.
func (k *Keyboard) WriteCommand(_ uint64, _ uint8, v uint64) {
	b := uint8(v)
	k.cmd, k.wrote = 0, true
	switch {
	case b >= kbcPulse:
		if b&kbcResetLine == 0 {
			k.reset()
		}
	case b == kbcReadMode:
		k.push(answer{v: k.mode})
	case b == kbcSelfTest:
		k.queue = nil
		k.mode |= kbcSystem
		k.push(answer{v: 0x55})
	case b == kbcTestKbd:
		k.push(answer{v: 0})
	case b == kbcTestAux:
		k.push(answer{v: 2}) // the clock line is stuck: no mouse
	case b == kbcKbdOff:
		k.mode |= 0x10
	case b == kbcKbdOn:
		k.mode &^= 0x10
	case b == kbcAuxOff:
		k.mode |= 0x20
	case b == kbcAuxOn:
		k.mode &^= 0x20
	case b == kbcReadOut:
		k.push(answer{v: k.a20})
	case b == kbcWriteMode, b == kbcWriteOut, b == kbcLoopKbd, b == kbcLoopAux, b == kbcToAux:
		k.cmd = b
	}
}

// output writes the output port: A20, which is always on, and the reset line.
func (k *Keyboard) output(b uint8) {
	k.a20 = b
	if b&kbcResetLine == 0 {
		k.a20 |= kbcResetLine
		k.reset()
	}
}

// ReadSystemA and WriteSystemA are port 0x92: A20 and a fast reset.
func (k *Keyboard) ReadSystemA(uint64, uint8) uint64 { return uint64(k.a20 & 2) }

// WriteSystemA writes port 0x92.
func (k *Keyboard) WriteSystemA(_ uint64, _ uint8, v uint64) {
	k.a20 = k.a20&^2 | uint8(v)&2
	if v&1 != 0 {
		k.reset()
	}
}
