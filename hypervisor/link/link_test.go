package link

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair gives two queues that face each other.
func pair(t *testing.T) (a, b *Queue) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out [2]*Queue
	for i, fd := range fds {
		if out[i], err = NewQueue(os.NewFile(uintptr(fd), "pair")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = out[i].Close() })
	}
	return out[0], out[1]
}

func TestHeader(t *testing.T) {
	want := Header{1, 4, 0x1234, 0x5678, 0x9abc, 0xdef0}
	b := make([]byte, HeaderSize)
	want.Put(b)
	if !bytes.Equal(b, []byte{1, 4, 0x34, 0x12, 0x78, 0x56, 0xbc, 0x9a, 0xf0, 0xde}) {
		t.Errorf("% x", b)
	}
	var got Header
	if got.Get(b); got != want {
		t.Errorf("%+v", got)
	}
}

func TestQueue(t *testing.T) {
	a, b := pair(t)
	h := Header{Flags: 1, CsumStart: 34, CsumOffset: 16}
	if err := a.Send(h, [][]byte{[]byte("one "), nil, []byte("frame")}); err != nil {
		t.Fatal(err)
	}
	x, y := make([]byte, 6), make([]byte, 100)
	var got Header
	n, err := b.Receive(&got, [][]byte{x, y}, false)
	if err != nil || n != 9 || got != h || string(x) != "one fr" || string(y[:3]) != "ame" {
		t.Errorf("%d %v %+v %q %q", n, err, got, x, y[:3])
	}
	if _, err := b.Receive(&got, [][]byte{y}, false); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	if err := a.Send(h, [][]byte{make([]byte, 200)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(&got, [][]byte{y}, true); !errors.Is(err, ErrLong) {
		t.Error(err)
	}
	if err := a.Send(h, [][]byte{make([]byte, 50)}); err != nil { // the next one is whole
		t.Fatal(err)
	}
	if n, err := b.Receive(&got, [][]byte{y}, true); err != nil || n != 50 {
		t.Error(n, err)
	}
}

func TestQueue_stop(t *testing.T) {
	a, b := pair(t)
	done := make(chan error)
	receive := func() {
		var h Header
		_, err := b.Receive(&h, [][]byte{make([]byte, 10)}, true)
		done <- err
	}
	go receive()
	time.Sleep(10 * time.Millisecond) // so that it waits, mostly
	b.Stop()
	if err := <-done; !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
	go receive()
	if err := <-done; !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
	b.Start()
	go receive()
	if err := a.Send(Header{}, [][]byte{{1}}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = a.Close()
	go receive()
	if err := <-done; !errors.Is(err, ErrStopped) {
		t.Errorf("the other side has gone: %v", err)
	}
}

// TestQueue_full sends to a side that takes nothing: no frame waits for ever.
func TestQueue_full(t *testing.T) {
	a, _ := pair(t)
	for range 100000 {
		if err := a.Send(Header{}, [][]byte{make([]byte, 60000)}); errors.Is(err, ErrFull) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("it is never full")
}

func TestOpenTap_refused(t *testing.T) {
	for _, c := range []TapConfig{{Name: "a-name-that-is-too-long"}, {Name: "lo"}} {
		if _, files, err := OpenTap(c); err == nil || files != nil {
			t.Errorf("%+v: %v %v", c, files, err)
		}
	}
}
