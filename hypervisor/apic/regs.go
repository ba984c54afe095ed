package apic

// Read reads a register; false is #GP in x2APIC mode (xAPIC reads of reserved registers give 0). now is the TSC.
func (l *LAPIC) Read(reg uint32, now uint64) (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x2 := l.base&BaseX2APIC != 0
	switch {
	case reg >= RegISR && reg < RegISR+8:
		return uint64(word(&l.isr, reg-RegISR)), true
	case reg >= RegTMR && reg < RegTMR+8:
		return uint64(word(&l.tmr, reg-RegTMR)), true
	case reg >= RegIRR && reg < RegIRR+8:
		return uint64(word(&l.irr, reg-RegIRR)), true
	case reg >= RegLVTTimer && reg <= RegLVTError:
		return uint64(l.lvt[reg-RegLVTTimer]), true
	}
	switch reg {
	case RegID:
		if x2 {
			return uint64(l.ID()), true
		}
		return uint64(l.ID()) << 24, true
	case RegVersion:
		return version, true
	case RegTPR:
		return uint64(l.tpr), true
	case RegAPR, RegRRD, RegEOI:
		return 0, !x2
	case RegPPR:
		return uint64(l.ppr()), true
	case RegLDR:
		return uint64(l.ldr), true
	case RegDFR:
		return uint64(l.dfr), !x2
	case RegSVR:
		return uint64(l.svr), true
	case RegESR:
		return uint64(l.esr), true
	case RegICR:
		if x2 {
			return l.icr, true
		}
		return l.icr & 0xffffffff, true
	case RegICR2:
		return l.icr >> 32, !x2
	case RegTimerInit:
		return uint64(l.initial), true
	case RegTimerCur:
		return uint64(l.current(now)), true
	case RegTimerDiv:
		return uint64(l.divide), true
	}
	return 0, !x2
}

func word(v *[4]uint64, n uint32) uint32 { return uint32(v[n>>1] >> (32 * (n & 1))) }

// Write writes a register; false is #GP in x2APIC mode. now is the TSC.
func (l *LAPIC) Write(reg uint32, v, now uint64) bool {
	l.mu.Lock()
	x2 := l.base&BaseX2APIC != 0
	if x2 && reg != RegICR && v>>32 != 0 {
		l.mu.Unlock()
		return false
	}
	if reg == RegICR || reg == RegSelfIPI && x2 {
		cmd := l.command(reg, v, x2)
		l.mu.Unlock()
		if cmd.Mode != ModeINIT || cmd.Assert {
			l.bus.Send(cmd)
		}
		return true
	}
	if reg == RegEOI {
		vector, level := l.endOf(x2 && v != 0)
		l.mu.Unlock()
		if level && l.end != nil {
			l.end.EOI(vector)
		}
		return !x2 || v == 0
	}
	ok := l.write(reg, uint32(v), now, x2)
	l.mu.Unlock()
	return ok
}

// endOf ends the interrupt in service, unless the write that wants it is refused, and tells whether an IO-APIC waits for that.
func (l *LAPIC) endOf(refused bool) (vector uint8, level bool) {
	isr := highest(&l.isr)
	if isr < 0 || refused {
		return 0, false
	}
	bit := uint64(1) << (isr & 63)
	l.isr[isr>>6] &^= bit
	level = l.tmr[isr>>6]&bit != 0
	return uint8(isr), level
}

// command latches ICR and decodes it (SDM 3A figures 10-12 and 10-28).
func (l *LAPIC) command(reg uint32, v uint64, x2 bool) Command {
	if reg == RegSelfIPI {
		return Command{Vector: uint8(v), Short: 1, From: l.id, Assert: true, X2: true}
	}
	if x2 {
		l.icr = v &^ (1 << 12)
	} else {
		l.icr = l.icr&^0xffffffff | v&0xffffffff&^(1<<12)
	}
	dest := uint32(l.icr >> 32)
	if !x2 {
		dest >>= 24
	}
	return Command{
		Vector: uint8(v), Mode: uint8(v >> 8 & 7), Logical: v>>11&1 != 0, Assert: v>>14&1 != 0 || v>>15&1 == 0,
		Short: uint8(v >> 18 & 3), Dest: dest, From: l.id, X2: x2,
	}
}

func (l *LAPIC) write(reg, v uint32, now uint64, x2 bool) bool {
	if reg >= RegLVTTimer && reg <= RegLVTError {
		l.writeLVT(reg-RegLVTTimer, v)
		return true
	}
	switch reg {
	case RegTPR:
		l.tpr = v & 0xff
	case RegLDR:
		if !x2 {
			l.ldr = v & 0xff000000
		}
		return !x2
	case RegDFR:
		if !x2 {
			l.dfr = v | 0x0fffffff
		}
		return !x2
	case RegSVR:
		l.svr = v & 0x3ff
		if v&svrEnable == 0 {
			for i := range l.lvt {
				l.lvt[i] |= lvtMasked
			}
		}
	case RegESR:
		l.esr = 0
		return !x2 || v == 0
	case RegICR2:
		if !x2 {
			l.icr = l.icr&0xffffffff | uint64(v)<<32
		}
		return !x2
	case RegTimerInit:
		l.startTimer(v, now)
	case RegTimerDiv:
		l.rescale(v&0xb, now)
	case RegID, RegVersion, RegPPR, RegTimerCur, RegAPR, RegRRD:
		return !x2
	default:
		return !x2
	}
	return true
}

func (l *LAPIC) writeLVT(n, v uint32) {
	mask := uint32(0x1ffff) &^ 0x1000 &^ (1 << 11)
	if n == 0 {
		mask = 0x710ff
		if (l.lvt[0]^v)&timerMode != 0 {
			l.deadline = 0
			l.initial = 0
		}
	}
	if l.svr&svrEnable == 0 {
		v |= lvtMasked
	}
	l.lvt[n] = v & mask
}
