//go:build linux && amd64

package native

import (
	"runtime"
	"testing"
)

// TestRun_state loads and saves every register while the collector runs beside it.
func TestRun_state(t *testing.T) {
	w, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
			}
		}
	}()
	defer close(done)
	w.Data()[0] = 5
	code := []byte{0x48, 0xff, 0xc0, 0x48, 0x01, 0x06, 0xf9} // inc rax; add [rsi], rax; stc
	for i := range uint64(2000) {
		var st State
		for r := range st.GPR {
			st.GPR[r] = i<<32 | uint64(r)
		}
		st.GPR[6] = DataBase
		st.FX[0], st.FX[1] = 0x7f, 0x03
		st.FX[24], st.FX[25] = 0x80, 0x1f
		for x := range 256 {
			st.FX[160+x] = byte(x)
		}
		want := st
		want.GPR[0]++
		w.Run(code, &st)
		if st.GPR != want.GPR || st.RFLAGS&1 == 0 {
			t.Fatalf("registers %x, flags %#x; want %x", st.GPR, st.RFLAGS, want.GPR)
		}
		if [256]byte(st.FX[160:416]) != [256]byte(want.FX[160:416]) {
			t.Fatalf("XMM registers %x", st.FX[160:416])
		}
	}
}
