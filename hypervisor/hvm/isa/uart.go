package isa

// PortCOM1 is the first serial port; it has eight registers and interrupt line 4.
const PortCOM1 = 0x3f8

// Registers and bits of a 16550A (National Semiconductor PC16550D datasheet, section 8).
const (
	uartData = 0
	uartIER  = 1
	uartIIR  = 2 // read; FCR when written
	uartLCR  = 3
	uartMCR  = 4
	uartLSR  = 5
	uartMSR  = 6
	uartSCR  = 7

	ierReceive  = 1
	ierTransmit = 2
	ierLine     = 4
	iirNone     = 1
	iirTransmit = 2
	iirReceive  = 4
	iirTimeout  = 0xc
	iirLine     = 6
	iirFIFO     = 0xc0
	fcrEnable   = 1
	fcrClearRx  = 2
	lcrDLAB     = 0x80
	mcrOut2     = 8 // lets the interrupt through
	mcrLoop     = 0x10
	lsrReady    = 1
	lsrOverrun  = 2
	lsrEmpty    = 0x60 // transmitter idle: it always is
	msrLines    = 0xb0 // carrier, ready, clear to send
	fifoSize    = 16
)

// UART is a 16550A whose other end takes everything at once: what is sent is out when the write returns.
type UART struct {
	irq  Line
	out  func(byte)
	room func() // told when the receiver can take more

	ier, fcr, lcr, mcr, scr, dll, dlm uint8
	fifo                              []byte
	overrun, thre                     bool
}

// NewUART makes a serial port. out takes each byte that is sent and must not block; room, which may be nil, is called when the guest has made
// room for input.
func NewUART(irq Line, out func(byte), room func()) *UART {
	return &UART{irq: irq, out: out, room: room, dll: 12}
}

// Listening reports whether the guest has opened the receiver for interrupts.
func (u *UART) Listening() bool { return u.ier&ierReceive != 0 && u.mcr&mcrLoop == 0 }

// Receive gives input to the guest and says how many bytes there was room for.
func (u *UART) Receive(p []byte) int {
	n := min(len(p), u.depth()-len(u.fifo))
	if n <= 0 || u.mcr&mcrLoop != 0 {
		return 0
	}
	u.fifo = append(u.fifo, p[:n]...)
	u.update()
	return n
}

func (u *UART) depth() int {
	if u.fcr&fcrEnable != 0 {
		return fifoSize
	}
	return 1
}

// trigger is how many bytes interrupt at once; fewer do as a timeout, which comes without delay here.
func (u *UART) trigger() int {
	if u.fcr&fcrEnable == 0 {
		return 1
	}
	return [4]int{1, 4, 8, 14}[u.fcr>>6]
}

// cause gives the interrupt identification.
func (u *UART) cause() uint8 {
	switch {
	case u.ier&ierLine != 0 && u.overrun:
		return iirLine
	case u.ier&ierReceive != 0 && len(u.fifo) >= u.trigger():
		return iirReceive
	case u.ier&ierReceive != 0 && len(u.fifo) > 0:
		return iirTimeout
	case u.ier&ierTransmit != 0 && u.thre:
		return iirTransmit
	}
	return iirNone
}

func (u *UART) update() { u.irq(u.cause() != iirNone && u.mcr&(mcrOut2|mcrLoop) == mcrOut2) }

// Read implements iobus.Device.
func (u *UART) Read(off uint64, _ uint8) uint64 {
	if u.lcr&lcrDLAB != 0 && off <= uartIER {
		return uint64([2]uint8{u.dll, u.dlm}[off])
	}
	switch off {
	case uartData:
		return uint64(u.take())
	case uartIER:
		return uint64(u.ier)
	case uartIIR:
		c := u.cause()
		if c == iirTransmit {
			u.thre = false
			u.update()
		}
		if u.fcr&fcrEnable != 0 {
			c |= iirFIFO
		}
		return uint64(c)
	case uartLCR:
		return uint64(u.lcr)
	case uartMCR:
		return uint64(u.mcr)
	case uartLSR:
		return uint64(u.lineStatus())
	case uartMSR:
		if u.mcr&mcrLoop != 0 { // out2, out1, rts, dtr come back as carrier, ring, clear to send, ready
			return uint64(u.mcr&0xc<<4 | u.mcr&2<<3 | u.mcr&1<<5)
		}
		return msrLines
	}
	return uint64(u.scr)
}

func (u *UART) take() byte {
	if len(u.fifo) == 0 {
		return 0
	}
	c := u.fifo[0]
	if u.fifo = u.fifo[1:]; len(u.fifo) == 0 {
		u.fifo = nil
	}
	u.update()
	if u.room != nil && len(u.fifo) == 0 {
		u.room()
	}
	return c
}

func (u *UART) lineStatus() uint8 {
	s := uint8(lsrEmpty)
	if len(u.fifo) > 0 {
		s |= lsrReady
	}
	if u.overrun {
		s |= lsrOverrun
		u.overrun = false
		u.update()
	}
	return s
}

// Write implements iobus.Device.
func (u *UART) Write(off uint64, _ uint8, v uint64) {
	b := uint8(v)
	if u.lcr&lcrDLAB != 0 && off <= uartIER {
		if off == 0 {
			u.dll = b
		} else {
			u.dlm = b
		}
		return
	}
	switch off {
	case uartData:
		u.send(b)
	case uartIER:
		if b&ierTransmit != 0 && u.ier&ierTransmit == 0 {
			u.thre = true // an empty transmitter interrupts when it is allowed to
		}
		u.ier = b & 15
	case uartIIR:
		if b&fcrClearRx != 0 || (b^u.fcr)&fcrEnable != 0 {
			u.fifo = nil
		}
		u.fcr = b & 0xc9
	case uartLCR:
		u.lcr = b
	case uartMCR:
		u.mcr = b & 0x1f
	case uartSCR:
		u.scr = b
	}
	u.update()
}

func (u *UART) send(b byte) {
	u.thre = true
	if u.mcr&mcrLoop == 0 {
		u.out(b)
		return
	}
	if len(u.fifo) >= u.depth() {
		u.overrun = true
		return
	}
	u.fifo = append(u.fifo, b)
}
