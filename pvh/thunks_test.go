package pvh

import (
	"bytes"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
)

func TestThunks(t *testing.T) {
	const (
		old = "\x0f\x01\xd9\xe9\x88\x93\x40\x00\x0f\x1f\x84\x00\x00\x00\x00\x00\x0f\x01\xc1\xe9\x78\x93\x40\x00\xcc\xcc\xcc\xcc"
		ibt = "\xf3\x0f\x1e\xfa\x0f\x01\xd9\xe9\xe4\x42\x01\x00\x0f\x1f\x40\x00\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90" +
			"\xf3\x0f\x1e\xfa\x0f\x01\xc1\xe9\xc4\x42\x01\x00"
		small = "\x0f\x01\xd9\xc3\x0f\x01\xc1\xc3"
		plain = "\x0f\x01\xd9\xc3\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc\x0f\x01\xc1\xc3"
	)
	for _, x := range []struct {
		name, code string
		at         guestmem.GPA // 0: not found
		first      guestmem.GPA
		second     guestmem.GPA
	}{
		{"Linux 6.1", old, 0x2010, 0x2010, 0x2020},
		{"with ENDBR64", ibt, 0x2010, 0x2014, 0x2034},
		{"plain returns", plain, 0x2010, 0x2010, 0x2020},
		{"across pages", old, 0x2ff0, 0x2ff0, 0x3000},
		{"32-bit Linux", "\x07\x8d\x76" + small + "\xb9", 0x2010, 0x2013, 0x2017},
		{"32-bit across pages", small, 0x2ffd, 0x2ffd, 0x3001},
		{"32-bit at the end of the segment", small, 0x4ff8, 0x4ff8, 0x4ffc},
		{"32-bit twice", small + small, 0x2013, 0, 0},
		{"not aligned", old, 0x2011, 0, 0},
		{"one vendor only", old[:16], 0x2010, 0, 0},
		{"targets differ", old[:20] + "\x79" + old[21:], 0x2010, 0, 0},
		{"wrong order", "\x0f\x01\xc1\xc3            \x0f\x01\xd9\xc3", 0x2010, 0, 0},
		{"at the end of the segment", old[:16], 0x4ff0, 0, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 0x5000}})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if err := m.Write(x.at, []byte(x.code)); err != nil {
				t.Fatal(err)
			}
			k := &image.Kernel{Segments: []image.Segment{{Phys: 0x1000, FileSize: 0x800}, {Phys: 0x2000, FileSize: 0x3000, Exec: true}}}
			got, ok := FindThunks(m, k)
			if !ok {
				got = Thunks{}
			}
			if ok != (x.first != 0) || ok && got != (Thunks{x.first, x.second}) {
				t.Fatalf("found %v %+v", ok, got)
			}
			if !ok {
				return
			}
			if err := got.Patch(m, 0xe7); err != nil {
				t.Fatal(err)
			}
			for _, a := range []guestmem.GPA{x.first, x.second} {
				var b [4]byte
				_ = m.Read(a, b[:])
				if !bytes.Equal(b[:3], []byte{0xe6, 0xe7, 0x90}) || b[3] != 0xe9 && b[3] != 0xc3 {
					t.Errorf("at %#x: % x", uint64(a), b)
				}
			}
		})
	}
}
