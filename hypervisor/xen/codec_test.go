package xen

import (
	"bytes"
	"testing"
)

func TestCodec_roundTrip(t *testing.T) {
	for _, abi := range []ABI{ABI64, ABI32} {
		want := AddToPhysmap{DomID: DOMID_SELF, Size: 3, Space: 1, Idx: 0x1234, GPFN: 0xfeffe}
		c := Sizer(abi)
		want.Layout(&c)
		buf := bytes.Repeat([]byte{0xee}, c.Size())
		e := Encoder(abi, buf)
		want.Layout(&e)
		var got AddToPhysmap
		d := Decoder(abi, buf)
		got.Layout(&d)
		if got != want {
			t.Errorf("abi %d: %+v, want %+v", abi, got, want)
		}
	}
}

func TestCodec_longIsNarrowOn32(t *testing.T) {
	s := SchedPoll{Ports: 0x1_0000_0004, NrPorts: 2, Timeout: 1 << 40}
	var b [16]byte
	e := Encoder(ABI32, b[:])
	s.Layout(&e)
	var got SchedPoll
	d := Decoder(ABI32, b[:])
	got.Layout(&d)
	if got.Ports != 4 || got.Timeout != 1<<40 || got.NrPorts != 2 {
		t.Errorf("%+v", got)
	}
}

func TestCodec_doesNotAllocate(t *testing.T) {
	var b [16]byte
	n := testing.AllocsPerRun(100, func() {
		var s VCPUSetSingleshotTimer
		c := Sizer(ABI64)
		s.Layout(&c)
		d := Decoder(ABI64, b[:c.Size()])
		s.Layout(&d)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestErrno_ret(t *testing.T) {
	if EINVAL.Ret() != ^uint64(21) || Errno(0).Ret() != 0 {
		t.Errorf("EINVAL %#x", EINVAL.Ret())
	}
	if EINVAL.Error() != "EINVAL" || Errno(999).Error() != "errno 999" || GNTST_bad_gntref.Error() != "grant: bad grant reference" {
		t.Error("names")
	}
}
