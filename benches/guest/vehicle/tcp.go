package vehicle

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/peer"
)

// server is the connection to the peer, for one workload.
type server struct {
	fd     int
	buffer []byte
	echoes bool // the order for round trips was given
}

// portion is what is sent and read at a time, in bytes.
const portion = 128 << 10

// onTCP makes a workload of what is done n times with the peer.
func onTCP(do func(s *server, n int) error) func(*guest) (func(int) error, func(), error) {
	return func(g *guest) (func(int) error, func(), error) {
		fd, err := g.connect()
		if err != nil {
			return nil, nil, err
		}
		s := &server{fd: fd, buffer: make([]byte, portion)}
		return func(n int) error { return do(s, n) }, func() { _ = unix.Close(fd) }, nil
	}
}

func (s *server) order(kind byte, n int) error {
	b := peer.Order(kind, n)
	return s.move(unix.SYS_WRITE, b[:], len(b))
}

// move sends or reads so many bytes by way of b.
func (s *server) move(call uintptr, b []byte, size int) error {
	for size > 0 {
		n, err := some(call, s.fd, b[:min(len(b), size)])
		if err == nil && n == 0 {
			err = errors.New("the connection has ended")
		}
		if err != nil {
			return fmt.Errorf("TCP: %w", err)
		}
		size -= n
	}
	return nil
}

func sendMiB(s *server, n int) error {
	if err := s.order(peer.Take, n); err != nil {
		return err
	}
	if err := s.move(unix.SYS_WRITE, s.buffer, n<<20); err != nil {
		return err
	}
	return s.move(unix.SYS_READ, s.buffer, 1)
}

func receiveMiB(s *server, n int) error {
	if err := s.order(peer.Give, n); err != nil {
		return err
	}
	return s.move(unix.SYS_READ, s.buffer, n<<20)
}

// pings is how many round trips one order is for.
const pings = 1 << 30

// ping sends bytes that come back. One order is for all round trips of the connection, so that each is a byte there and a byte back.
func ping(s *server, n int) error {
	if !s.echoes {
		if err := s.order(peer.Echo, pings); err != nil {
			return err
		}
		s.echoes = true
	}
	for range n {
		if err := s.move(unix.SYS_WRITE, s.buffer, 1); err != nil {
			return err
		}
		if err := s.move(unix.SYS_READ, s.buffer, 1); err != nil {
			return err
		}
	}
	return nil
}
