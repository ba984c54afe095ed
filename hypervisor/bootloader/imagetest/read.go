package imagetest

import (
	"io"
	"math/rand/v2"
	"testing"
)

// Content gives n bytes, the same each time.
func Content(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// Reader is a file system's reader under test.
type Reader struct {
	Open func(path string) (file io.ReaderAt, size int64, err error)
	List func(path string) ([]string, error)
}

// Same says whether all files can be read, at once and in pieces.
func (r Reader) Same(t *testing.T, files map[string]string) {
	t.Helper()
	for p, want := range files {
		file, size, err := r.Open(p)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := io.ReadAll(io.NewSectionReader(file, 0, size))
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v; want %d", p, len(got), err, len(want))
			continue
		}
		for off := int64(len(want)) - 1; off >= 0; off -= int64(len(want)/200 + 77) { // backwards
			var b [2900]byte
			n, err := file.ReadAt(b[:], off)
			if string(b[:n]) != want[off:min(len(want), int(off)+len(b))] || err != nil && err != io.EOF {
				t.Fatalf("%s at %d: %d bytes, %v", p, off, n, err)
			}
		}
	}
}

// Walk reads here and there in what lies below a folder, of a file system that may be damaged in any way.
func (r Reader) Walk(t *testing.T, dir string) { r.walk(t, dir, 0) }

func (r Reader) walk(t *testing.T, dir string, depth int) {
	names, _ := r.List(dir)
	for _, n := range names[:min(len(names), 8)] {
		if file, size, err := r.Open(dir + n); err == nil {
			b := make([]byte, 1500)
			for _, off := range []int64{0, size / 2, max(0, size-1), size} {
				if n, err := file.ReadAt(b, off); n < len(b) && err == nil {
					t.Fatalf("%d bytes and no error", n)
				}
			}
		} else if depth < 3 {
			r.walk(t, dir+n+"/", depth+1)
		}
	}
}
