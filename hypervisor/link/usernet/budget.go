package usernet

import (
	"context"
	"errors"
	"net"
	"sync"
)

// maxSockets is how many sockets of the host a network holds at once, for the guest's connections, the host's and names. It is well below what the sandbox
// allows in files, and with the size of buffers it bounds memory.
const maxSockets = 512

var errBudget = errors.New("this network has too many connections")

// budget counts what a guest can have made on the host.
type budget chan struct{}

func newBudget() budget { return make(budget, maxSockets) }

// take gives the way to give it back, nil: there is no more.
func (b budget) take() (release func()) {
	select {
	case b <- struct{}{}:
		return sync.OnceFunc(func() { <-b })
	default:
		return nil
	}
}

// dialer makes connections of the host's: net.Dialer's DialContext.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dial is dialer within the budget.
func (b budget) dial(d dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		release := b.take()
		if release == nil {
			return nil, errBudget
		}
		c, err := d(ctx, network, address)
		if err != nil {
			release()
			return nil, err
		}
		return counted(c, release), nil
	}
}

// counted gives the connection with a release at its end. Its kind shows, as the resolver of net looks at it to tell datagrams from streams.
func counted(c net.Conn, release func()) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		return &countedTCP{c, release}
	case *net.UDPConn:
		return &countedUDP{c, release}
	}
	return &countedConn{c, release}
}

type (
	countedTCP struct {
		*net.TCPConn
		release func()
	}
	countedUDP struct {
		*net.UDPConn
		release func()
	}
	countedConn struct {
		net.Conn
		release func()
	}
)

func (c *countedTCP) Close() error  { defer c.release(); return c.TCPConn.Close() }
func (c *countedUDP) Close() error  { defer c.release(); return c.UDPConn.Close() }
func (c *countedConn) Close() error { defer c.release(); return c.Conn.Close() }
