package control

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConsoleLog_rolls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	l, err := NewConsoleLog(path)
	if err != nil {
		t.Fatal(err)
	}
	l.segment = 10
	first := 0
	l.OnFirst(func() { first++ })
	from0 := l.Subscribe(0)
	for i := range 7 {
		fmt.Fprintf(l, "line %d\n", i) // 49 bytes: the last 12 are kept
	}
	live := l.Subscribe(-1)
	fmt.Fprint(l, "end")
	l.Close()
	const all = "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\nline 6\nend"
	for _, c := range []struct {
		r    io.Reader
		want string
	}{{from0, all[40:]}, {l.Subscribe(0), all[40:]}, {l.Subscribe(45), all[45:]}, {live, "end"}} {
		if b, err := io.ReadAll(c.r); err != nil || string(b) != c.want {
			t.Errorf("%q, %v, want %q", b, err, c.want)
		}
	}
	if first != 1 {
		t.Errorf("first byte seen %d times", first)
	}
	for _, n := range []string{path, path + ".old"} {
		if st, err := os.Stat(n); err != nil || st.Size() > 10 {
			t.Errorf("%s: %v %v", n, st, err)
		}
	}
	l.Release()
	if n, err := l.Subscribe(0).Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after Release: %d, %v", n, err)
	}
}

func TestConsoleLog_followers(t *testing.T) {
	l, err := NewConsoleLog(filepath.Join(t.TempDir(), "console.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	got := make(chan []byte)
	for range 3 {
		r := l.Subscribe(0)
		go func() { b, _ := io.ReadAll(r); got <- b }()
	}
	closed := l.Subscribe(0)
	go func() { b, _ := io.ReadAll(closed); got <- b }()
	closed.Close()
	if b := <-got; len(b) != 0 {
		t.Errorf("closed reader got %q", b)
	}
	var want bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(io.MultiWriter(l, &want), "%d\n", i)
	}
	l.Close()
	for range 3 {
		if b := <-got; !bytes.Equal(b, want.Bytes()) {
			t.Errorf("a follower got %d bytes of %d", len(b), want.Len())
		}
	}
}

func TestRing(t *testing.T) {
	r := NewRing(20)
	for i := range 100 {
		r.Logf("line %d", i)
	}
	if got := string(r.Bytes(true)); got != "(XEN) line 99\n" {
		t.Errorf("%q", got)
	}
	if got := r.Bytes(false); len(got) != 0 {
		t.Errorf("after clear: %q", got)
	}
	_, _ = r.Write(bytes.Repeat([]byte("x"), 1000))
	if n := len(r.Bytes(false)); n > 20 {
		t.Errorf("%d bytes kept", n)
	}
}

func TestParseSmaps(t *testing.T) {
	const smaps = `00400000-00500000 r-xp 00000000 08:01 1 /bin/x
Rss:                1024 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Size:               4096 kB
Rss:                 200 kB
7f0000000000-7f0010000000 rw-p 00000000 00:00 0
Rss:               65536 kB
7f1000000000-7f1000400000 rw-p 00000000 00:00 0
Rss:                4096 kB
VmFlags: rd wr
`
	rss, own := parseSmaps(strings.NewReader(smaps), [][2]uintptr{{0x7f0000000000, 0x7f0010000000}, {0x7f1000000000, 0x7f1000200000}})
	if rss != 1024+200+65536+4096 || own != 1024+200+2048 {
		t.Errorf("rss %d, own %d", rss, own)
	}
	if rss, own := parseSmaps(strings.NewReader("junk\nRss: x\n-\nzz-yy\n"), nil); rss != 0 || own != 0 {
		t.Errorf("junk gives %d, %d", rss, own)
	}
}
