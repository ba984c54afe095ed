package image

import (
	"bytes"
	"testing"

	"gozen/hypervisor/guestmem"
)

func FuzzOpen(f *testing.F) {
	small := makeELF(64, []seg{{typ: ptLoad, paddr: 0x1000, data: []byte("text"), memsz: 0x2000},
		{typ: ptNote, data: makeNote("Xen", NotePhys32Entry, []byte{0, 0x10, 0, 0})}})
	f.Add(small)
	f.Add(makeELF(32, []seg{{typ: ptLoad, paddr: 0x1000, data: []byte("text")}}))
	for _, m := range []string{"", "gzip", "lz4", "zstd"} {
		f.Add(makeBzImage(f, m, small))
	}
	mem, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 1 << 20}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(mem.Close)
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := Open("fuzz", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		defer k.Close()
		if lo, hi := k.Extent(); lo >= hi {
			t.Fatalf("extent %#x-%#x", lo, hi)
		}
		if _, err := k.Load(mem); err == nil {
			if _, err := k.Notes(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzNotes(f *testing.F) {
	f.Add(makeNote("Xen", NoteLoader, []byte("generic\x00")))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range parseNotes(b) {
			if len(n.Desc) > len(b) {
				t.Fatal("note longer than its file")
			}
			_ = n.Type.String()
		}
	})
}

func FuzzLZMA(f *testing.F) {
	f.Add([]byte{0x5d, 0, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0x34, 0x19, 0x49, 0xee, 0x8d, 0xe9, 0xff})
	f.Add([]byte{0x5d, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := newLZMA(bytes.NewReader(b), 1<<20)
		if err != nil {
			return
		}
		buf := make([]byte, 1000)
		for total := 0; total < 1<<20; {
			n, err := z.Read(buf)
			if err != nil {
				return
			}
			total += n
		}
	})
}
