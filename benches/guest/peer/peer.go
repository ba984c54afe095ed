// Package peer is the host's end of the TCP connections that guests measure, and the orders that both ends know. The guest's program connects, and gives an order
// for each thing that it measures; it has the clock.
package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Kinds of orders.
const (
	Take = 's' // the host is sent so many MiB, and answers with one byte then
	Give = 'r' // the host sends so many MiB
	Echo = 'p' // the host sends so many bytes back, one at a time
)

// OrderSize is the length of an order in bytes.
const OrderSize = 8

// Order gives one as it is sent: its kind and a number, 32 bits each, little-endian.
func Order(kind byte, n int) (b [OrderSize]byte) {
	binary.LittleEndian.PutUint32(b[:], uint32(kind))
	binary.LittleEndian.PutUint32(b[4:], uint32(n))
	return b
}

// Serve does what guests order at the connections of a listener, until that is closed. What goes wrong with a connection is told to complain.
func Serve(l net.Listener, complain func(error)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if err := orders(c); !errors.Is(err, io.EOF) {
				complain(err)
			}
		}()
	}
}

// bufferSize is what is read and written at a time.
const bufferSize = 256 << 10

// orders does one after the other until the connection ends.
func orders(c io.ReadWriter) error {
	buf := make([]byte, bufferSize)
	for {
		var m [OrderSize]byte
		if _, err := io.ReadFull(c, m[:]); err != nil {
			return err
		}
		n := int(binary.LittleEndian.Uint32(m[4:]))
		var err error
		switch binary.LittleEndian.Uint32(m[:]) {
		case Take:
			if err = move(c.Read, buf, n); err == nil {
				_, err = c.Write(buf[:1])
			}
		case Give:
			err = move(c.Write, buf, n)
		case Echo:
			err = echo(c, buf[:1], n)
		default:
			err = fmt.Errorf("order % x", m)
		}
		if err != nil {
			return err
		}
	}
}

// move has so many MiB go by.
func move(some func([]byte) (int, error), buf []byte, mib int) error {
	for left := mib << 20; left > 0; {
		n, err := some(buf[:min(len(buf), left)])
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func echo(c io.ReadWriter, b []byte, n int) error {
	for range n {
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	return nil
}
