package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t *testing.T, content []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(p, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t *testing.T, path string, readOnly bool) (*Raw, error) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRaw(f, readOnly)
	if err == nil {
		t.Cleanup(func() { r.Close() })
	}
	return r, err
}

func TestRaw(t *testing.T) {
	p := file(t, bytes.Repeat([]byte{7}, 3*SectorSize+5))
	r, err := open(t, p, false)
	if err != nil || r.Size() != 4*SectorSize || r.ReadOnly() {
		t.Fatal(r, err)
	}
	b := make([]byte, SectorSize)
	if n, err := r.ReadAt(b, 3*SectorSize); n != SectorSize || err != nil || b[4] != 7 || b[5] != 0 {
		t.Errorf("last sector: %d %v % x", n, err, b[:8])
	}
	if n, err := r.WriteAt(bytes.Repeat([]byte{9}, SectorSize), 3*SectorSize); n != SectorSize || err != nil {
		t.Error(n, err)
	}
	if err := r.Sync(); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(p); len(got) != 4*SectorSize || got[4*SectorSize-1] != 9 {
		t.Errorf("the file has %d bytes", len(got))
	}
	for _, off := range []int64{-SectorSize, 4 * SectorSize, 3*SectorSize + 1, 1 << 62} {
		if _, err := r.ReadAt(b, off); err == nil {
			t.Errorf("read at %d", off)
		}
		if _, err := r.WriteAt(b, off); err == nil {
			t.Errorf("write at %d", off)
		}
	}
}

func TestRaw_refuses(t *testing.T) {
	p := file(t, make([]byte, SectorSize))
	a, err := open(t, p, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.WriteAt(make([]byte, SectorSize), 0); err == nil {
		t.Error("a read-only disk was written to")
	}
	if _, err := open(t, p, true); err != nil {
		t.Errorf("two readers: %v", err)
	}
	if _, err := open(t, p, false); err == nil || !strings.Contains(err.Error(), "another domain has it") {
		t.Errorf("a writer beside readers: %v", err)
	}
	if _, err := open(t, file(t, nil), false); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
	f, _ := os.Open(t.TempDir())
	if _, err := NewRaw(f, true); err == nil || !strings.Contains(err.Error(), "neither a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestRaw_vec(t *testing.T) {
	p := file(t, bytes.Repeat([]byte{7}, 4*SectorSize+5))
	r, err := open(t, p, false)
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := make([]byte, SectorSize), make([]byte, 2*SectorSize), make([]byte, SectorSize)
	if err := r.ReadVec([][]byte{a, b, c}, SectorSize); err != nil || a[0] != 7 || b[2*SectorSize-1] != 7 || c[4] != 7 || c[5] != 0 {
		t.Errorf("%v % x", err, c[:8])
	}
	for i := range b {
		b[i] = 9
	}
	if err := r.WriteVec([][]byte{a, b}, 0); err != nil {
		t.Error(err)
	}
	if done, err := r.ReadNow([][]byte{a, c}, SectorSize); !done || err != nil || a[0] != 9 || c[0] != 9 {
		t.Errorf("what was just written: %v %v", done, err)
	}
	if err := r.Discard(0, SectorSize); err != nil {
		t.Error(err)
	}
	if err := r.ReadVec([][]byte{a}, 0); err != nil || a[0] != 0 && a[0] != 7 {
		t.Errorf("after discard: %v %d", err, a[0])
	}
	for _, off := range []int64{-SectorSize, 5 * SectorSize, 1 << 62} {
		if r.ReadVec([][]byte{a}, off) == nil || r.WriteVec([][]byte{a}, off) == nil || r.Discard(off, SectorSize) == nil {
			t.Errorf("access at %d", off)
		}
	}
	if err := os.Truncate(p, SectorSize); err != nil { // by somebody else
		t.Fatal(err)
	}
	if err := r.ReadVec([][]byte{a, c}, 0); err != nil || c[0] != 0 {
		t.Errorf("a file that was cut off: %v %d", err, c[0])
	}
}

func TestRaw_refresh(t *testing.T) {
	p := file(t, make([]byte, 8*SectorSize))
	r, err := open(t, p, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		length, size int64
		changed      bool
	}{{8 * SectorSize, 8 * SectorSize, false}, {12*SectorSize - 7, 12 * SectorSize, true}, {12 * SectorSize, 12 * SectorSize, false}, {3 * SectorSize, 3 * SectorSize, true}, {0, 3 * SectorSize, false}} {
		if err := os.Truncate(p, tt.length); err != nil {
			t.Fatal(err)
		}
		if changed, err := r.Refresh(); changed != tt.changed || err != nil || r.Size() != tt.size {
			t.Errorf("%d bytes: %v, %v, size %d", tt.length, changed, err, r.Size())
		}
	}
	if _, err := r.WriteAt(make([]byte, SectorSize), 3*SectorSize); err == nil {
		t.Error("a write behind the end of a disk that shrank")
	}
}
