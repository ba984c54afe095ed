package isa

import "testing"

func newUART() (*UART, *counts, *[]byte) {
	l, sent := &counts{}, &[]byte{}
	return NewUART(l.set, func(b byte) { *sent = append(*sent, b) }, nil), l, sent
}

func TestUART_sends(t *testing.T) {
	u, l, sent := newUART()
	u.Write(uartLCR, 1, lcrDLAB|3)
	u.Write(uartData, 1, 1)
	if u.Read(uartData, 1) != 1 || len(*sent) != 0 {
		t.Error("the divisor was sent")
	}
	u.Write(uartLCR, 1, 3)
	u.Write(uartMCR, 1, mcrOut2)
	u.Write(uartIER, 1, ierTransmit)
	for _, b := range []byte("ok") {
		if !l.high || u.Read(uartIIR, 1) != iirTransmit {
			t.Fatal("an empty transmitter does not interrupt")
		}
		if l.high || u.Read(uartIIR, 1) != iirNone {
			t.Error("reading the cause does not end it")
		}
		u.Write(uartData, 1, uint64(b))
	}
	if string(*sent) != "ok" || u.Read(uartLSR, 1) != lsrEmpty {
		t.Errorf("sent %q", *sent)
	}
}

func TestUART_receives(t *testing.T) {
	u, l, _ := newUART()
	if u.Listening() {
		t.Error("it listens after a reset")
	}
	u.Write(uartIIR, 1, fcrEnable|0x40)
	u.Write(uartMCR, 1, mcrOut2)
	u.Write(uartIER, 1, ierReceive)
	if n := u.Receive([]byte("0123456789abcdefgh")); n != fifoSize || !u.Listening() {
		t.Errorf("took %d bytes", n)
	}
	for want := byte('0'); len(u.fifo) > 0; {
		cause := uint64(iirFIFO | iirReceive)
		if len(u.fifo) < 4 {
			cause = iirFIFO | iirTimeout
		}
		if got := u.Read(uartIIR, 1); got != cause || !l.high || u.Read(uartLSR, 1)&lsrReady == 0 {
			t.Errorf("%d left: cause %#x, want %#x", len(u.fifo), got, cause)
		}
		if c := byte(u.Read(uartData, 1)); c != want {
			t.Errorf("%q, want %q", c, want)
		}
		if want++; want == '9'+1 {
			want = 'a'
		}
	}
	if l.high || u.Read(uartLSR, 1)&lsrReady != 0 || u.Read(uartData, 1) != 0 {
		t.Error("an empty receiver has something to say")
	}
}

func TestUART_loopback(t *testing.T) {
	u, l, sent := newUART()
	u.Write(uartMCR, 1, mcrLoop|mcrOut2|2)
	if got := u.Read(uartMSR, 1); got != 0x90 {
		t.Errorf("modem status %#x", got)
	}
	u.Write(uartData, 1, 'a')
	u.Write(uartData, 1, 'b')
	if u.Read(uartLSR, 1) != lsrEmpty|lsrReady|lsrOverrun || u.Read(uartLSR, 1)&lsrOverrun != 0 {
		t.Error("overrun is not told once")
	}
	if u.Read(uartData, 1) != 'a' || len(*sent) != 0 || l.edges != 0 || u.Receive([]byte("x")) != 0 {
		t.Error("loopback lets something through")
	}
}
