package peer

import (
	"io"
	"net"
	"strings"
	"testing"
)

// TestServe gives one order of each kind over one connection, and one that there is not.
func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	wrong := make(chan error, 1)
	go Serve(l, func(err error) { wrong <- err })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	order := func(kind byte, n int) {
		t.Helper()
		b := Order(kind, n)
		if _, err := c.Write(b[:]); err != nil {
			t.Fatal(err)
		}
	}
	mib := make([]byte, 1<<20)
	order(Take, 2)
	for range 2 {
		if _, err := c.Write(mib); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(c, mib[:1]); err != nil {
		t.Fatal(err)
	}
	order(Give, 3)
	for range 3 {
		if _, err := io.ReadFull(c, mib); err != nil {
			t.Fatal(err)
		}
	}
	order(Echo, 2)
	for _, b := range []byte("ok") {
		var got [1]byte
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got[:]); err != nil || got[0] != b {
			t.Fatalf("%q came back as %q (%v)", b, got, err)
		}
	}
	order('?', 1)
	if err := <-wrong; err == nil || !strings.HasPrefix(err.Error(), "order 3f ") {
		t.Errorf("%v", err)
	}
	if _, err := c.Read(mib); err != io.EOF {
		t.Errorf("the connection stays after a wrong order: %v", err)
	}
	_ = l.Close()
}
