package image

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An image of several blocks loads to the same memory from an LZ4 payload, whose blocks are unpacked in place, as from the plain file.
func TestLoad_blocksInPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := 0; i < n; i += 8 {
			le.PutUint64(b[i:], r.Uint64()&0xff00ff)
		}
		return b
	}
	const base = 0x1000000
	elf := makeELF(64, []seg{
		{typ: ptLoad, paddr: base, data: random(20 << 20)},
		{typ: 0, data: random(1 << 20)}, // between segments, in no one's memory
		{typ: ptLoad, paddr: base + 21<<20, data: random(7 << 20)},
		{typ: ptLoad, paddr: base + 60<<20, data: random(9 << 20), memsz: 10 << 20},
		{typ: ptLoad, paddr: base + 40<<20, data: random(10 << 20)},
	})
	load := func(file []byte) []byte {
		k, err := open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		m := newMem(t, 0, 96<<20)
		if _, err := k.Load(m); err != nil {
			t.Fatal(err)
		}
		mem := make([]byte, 96<<20)
		_ = m.Read(0, mem)
		return mem
	}
	want := load(elf)
	got := load(makeBzImage(t, "lz4", elf))
	k, err := open(makeBzImage(t, "lz4", elf))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	k.head, k.rest.(*bounded).blocks.(*lz4Reader).out = nil, nil
	m := newMem(t, 0, 96<<20)
	if _, ok := k.place(m, 8<<20); !ok {
		t.Error("the second block is not unpacked in place")
	}
	if _, ok := k.place(m, 32<<20); ok {
		t.Error("a block of two segments that part in memory is unpacked in place")
	}
	if !bytes.Equal(got, want) {
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("first difference at %#x: %#x, want %#x", i, got[i], want[i])
			}
		}
	}
}

// A file that is cut off after it was mapped gives an error, not a crash.
func TestRead_cutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kernel")
	elf := makeELF(64, []seg{{typ: ptLoad, paddr: 0x100000, data: make([]byte, 1<<20)}})
	if err := os.WriteFile(path, elf, 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	from, done := k.view()
	defer done()
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	if n, err := from.ReadAt(make([]byte, 1<<20), 0); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("%d bytes, %v", n, err)
	}
}
