package partition

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gozen/hypervisor/bootloader/imagetest"
)

func part(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }

// check says whether each partition has the content that it was made with.
func check(t *testing.T, img []byte, scheme Scheme, want map[int]byte) {
	t.Helper()
	s, parts, err := Table(bytes.NewReader(img), int64(len(img)))
	if err != nil || s != scheme || len(parts) != len(want) {
		t.Fatalf("%q %+v %v, want %q and %d partitions", s, parts, err, scheme, len(want))
	}
	for _, p := range parts {
		if c := img[p.Start]; c != want[p.Number] || img[p.Start+p.Size-1] != c {
			t.Errorf("partition %d at %d has %q", p.Number, p.Start, c)
		}
	}
}

func TestTable_gpt(t *testing.T) {
	img := imagetest.GPT(part('a', 4096), part('b', 512))
	check(t, img, GPT, map[int]byte{1: 'a', 2: 'b'})
	clear(img[512:1024]) // the copy at the end counts
	check(t, img, GPT, map[int]byte{1: 'a', 2: 'b'})
	_, parts, _ := Table(bytes.NewReader(img), int64(len(img)))
	if parts[1].Name != "b" || parts[0].GUID != "00000001-0000-0000-0000-000000000000" {
		t.Errorf("%+v", parts)
	}
}

func TestTable_mbr(t *testing.T) {
	img := imagetest.MBR(1, part('a', 512), part('b', 1024), part('c', 512), part('e', 512), part('f', 1536))
	check(t, img, MBR, map[int]byte{1: 'a', 2: 'b', 3: 'c', 5: 'e', 6: 'f'})
	_, parts, _ := Table(bytes.NewReader(img), int64(len(img)))
	if parts[0].Active || !parts[1].Active {
		t.Errorf("%+v", parts)
	}
}

// TestTable_hostile reads tables that lie.
func TestTable_hostile(t *testing.T) {
	loop := imagetest.MBR(0, part('a', 512), part('b', 512), part('c', 512), part('e', 512), part('f', 512))
	ext := int(binary.LittleEndian.Uint32(loop[446+48+8:])) * 512
	binary.LittleEndian.PutUint32(loop[ext+446+16+8:], 0) // the chain leads back to its start
	far := imagetest.MBR(0, part('a', 512))
	binary.LittleEndian.PutUint32(far[446+12:], 0xffffffff)
	fat := imagetest.FAT(map[string]string{"a": "b"}, "")
	for name, tt := range map[string]struct {
		img  []byte
		want int
	}{"loop": {loop, 4}, "far": {far, 0}, "file system": {fat, 0}, "empty": {make([]byte, 4096), 0}, "short": {make([]byte, 100), 0}} {
		_, parts, err := Table(bytes.NewReader(tt.img), int64(len(tt.img)))
		if err != nil || len(parts) != tt.want {
			t.Errorf("%s: %+v %v, want %d", name, parts, err, tt.want)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add(imagetest.GPT(part('a', 512), part('b', 512)))
	f.Add(imagetest.MBR(0, part('a', 512), part('b', 512), part('c', 512), part('e', 512), part('f', 512)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, parts, err := Table(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err) // reading does not fail
		}
		for _, p := range parts {
			if p.Start <= 0 || p.Size <= 0 || p.Start > int64(len(b))-p.Size {
				t.Fatalf("%+v of %d bytes", p, len(b))
			}
		}
	})
}
