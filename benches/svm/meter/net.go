package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"gozen/hypervisor/link"
)

// The host's end of the guest's network: the tap, its address, and where the server listens.
const (
	tapName    = "tap0"
	tapAddress = "10.77.0.1"
	tapServer  = tapAddress + ":7777"
)

// address gives an interface its address as soon as it is there.
func address(name string) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat("/sys/class/net/" + name); err == nil {
			break
		} else if time.Now().After(end) {
			return err
		}
	}
	return link.SetUp(name, netip.MustParsePrefix(tapAddress+"/24"))
}

// serve answers the program in the guest: orders of a letter and a number, 32 bits each. s: it sends so many MiB, and gets a byte then; r: it is sent so
// many MiB; p: so many bytes are sent back, one at a time.
func serve() (stop func(), err error) {
	l, err := net.Listen("tcp", tapServer)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if err := orders(c); !errors.Is(err, io.EOF) {
					fmt.Fprintln(os.Stderr, "meter: server:", err)
				}
			}()
		}
	}()
	return func() { _ = l.Close() }, nil
}

func orders(c net.Conn) error {
	buf := make([]byte, 256<<10)
	for {
		var m [8]byte
		if _, err := io.ReadFull(c, m[:]); err != nil {
			return err
		}
		n := int(binary.LittleEndian.Uint32(m[4:]))
		switch binary.LittleEndian.Uint32(m[:]) {
		case 's':
			for left := n << 20; left > 0; {
				got, err := c.Read(buf[:min(len(buf), left)])
				if err != nil {
					return err
				}
				left -= got
			}
			if _, err := c.Write(buf[:1]); err != nil {
				return err
			}
		case 'r':
			for left := n << 20; left > 0; {
				put, err := c.Write(buf[:min(len(buf), left)])
				if err != nil {
					return err
				}
				left -= put
			}
		case 'p':
			for range n {
				if _, err := io.ReadFull(c, buf[:1]); err != nil {
					return err
				}
				if _, err := c.Write(buf[:1]); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("order % x", m)
		}
	}
}
