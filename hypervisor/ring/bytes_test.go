package ring

import (
	"bytes"
	"errors"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

func page(t testing.TB) *guestmem.Page {
	t.Helper()
	m, err := guestmem.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	p, err := m.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// guestSide turns the host's writer into the reader a guest would use, and the other way round.
func guestSide(w *Writer, r *Reader) (*Reader, *Writer) { return &Reader{w.end}, &Writer{r.end} }

func TestRings_roundTrip(t *testing.T) {
	p := page(t)
	in, out := Console(p)
	q := page(t)
	req, rsp := Xenstore(q)
	for _, tt := range []struct {
		name string
		w    *Writer
		r    *Reader
		size int
	}{{"console in", in, nil, 1024}, {"console out", nil, out, 2048}, {"xenstore req", nil, req, 1024}, {"xenstore rsp", rsp, nil, 1024}} {
		t.Run(tt.name, func(t *testing.T) {
			w, r := tt.w, tt.r
			if w == nil {
				w = &Writer{r.end}
			} else {
				r = &Reader{w.end}
			}
			// Start just before the indices wrap around.
			w.page.Store32(w.prodOff, 0xfffffff0)
			w.page.Store32(w.consOff, 0xfffffff0)
			var sent, got []byte
			buf := make([]byte, 700)
			for i := range 50 {
				msg := bytes.Repeat([]byte{byte(i)}, 1+i*97%900)
				n, err := w.Write(msg)
				if err != nil {
					t.Fatal(err)
				}
				sent = append(sent, msg[:n]...)
				if n, err = r.Read(buf); err != nil {
					t.Fatal(err)
				}
				got = append(got, buf[:n]...)
			}
			for n := 1; n > 0; {
				n, _ = r.Read(buf)
				got = append(got, buf[:n]...)
			}
			if !bytes.Equal(sent, got) {
				t.Errorf("sent %d bytes, got %d, or others", len(sent), len(got))
			}
			if n, _ := w.Write(make([]byte, 5000)); n != tt.size {
				t.Errorf("an empty ring took %d bytes", n)
			}
			if n, _ := w.Write([]byte{1}); n != 0 {
				t.Errorf("a full ring took %d bytes", n)
			}
			if n, _ := r.Len(); n != tt.size {
				t.Errorf("Len %d", n)
			}
		})
	}
}

func TestRings_layout(t *testing.T) {
	p := page(t)
	in, out := Console(p)
	in.Write([]byte("in"))
	if p.Load32(xen.ConsoleInProd) != 2 || string(p.Bytes()[:2]) != "in" {
		t.Error("console input is in the wrong place")
	}
	copy(p.Bytes()[1024:], "out")
	p.Store32(3084, 3)
	buf := make([]byte, 10)
	if n, err := out.Read(buf); err != nil || string(buf[:n]) != "out" || p.Load32(3080) != 3 {
		t.Errorf("console output %q %v", buf, err)
	}
}

func TestRings_corrupt(t *testing.T) {
	p := page(t)
	in, out := Console(p)
	p.Store32(xen.ConsoleInProd, 1025)
	p.Store32(xen.ConsoleOutCons, 1)
	buf := make([]byte, 10)
	if _, err := in.Write(buf); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if _, err := in.Room(); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if _, err := out.Read(buf); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if p.Load32(xen.ConsoleInProd) != 1025 || p.Load32(xen.ConsoleOutCons) != 1 {
		t.Error("indices of a corrupt ring were changed")
	}
}

func TestRings_noAllocation(t *testing.T) {
	w, r := Console(page(t))
	gr, gw := guestSide(w, r)
	buf := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		w.Write(buf)
		gr.Read(buf)
		gw.Write(buf)
		r.Read(buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzIndices(f *testing.F) {
	f.Add(uint32(0), uint32(5), uint16(10))
	f.Add(uint32(0xfffffff0), uint32(3), uint16(4000))
	f.Fuzz(func(t *testing.T, cons, prod uint32, n uint16) {
		p := page(t)
		w, r := Console(p)
		p.Store32(xen.ConsoleInCons, cons)
		p.Store32(xen.ConsoleInProd, prod)
		p.Store32(xen.ConsoleOutCons, cons)
		p.Store32(xen.ConsoleOutProd, prod)
		buf := make([]byte, n)
		if got, err := w.Write(buf); (err != nil) != (prod-cons > 1024) || got > int(n) {
			t.Errorf("write %d, %v", got, err)
		}
		if got, err := r.Read(buf); (err != nil) != (prod-cons > 2048) || (err == nil && got != min(int(n), int(prod-cons))) {
			t.Errorf("read %d, %v", got, err)
		}
	})
}
