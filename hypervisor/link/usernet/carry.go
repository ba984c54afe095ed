package usernet

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// join carries bytes both ways until both sides have ended, and closes both. Each side may end alone; where one is cut, so is the other.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { carry(a, b) })
	carry(b, a)
	both.Wait()
	_ = a.Close()
	_ = b.Close()
}

func carry(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		abort(to)
		abort(from)
		return
	}
	if w, ok := to.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
}

// idleTime is after how long without a datagram a flow ends.
const idleTime = 90 * time.Second

// maxDatagram is the longest of IPv4's, in bytes.
const maxDatagram = 65507

// exchange carries datagrams both ways until there have been none for a while, or one side has ended, and closes both.
func exchange(a, b net.Conn) {
	end := func() {
		_ = a.Close()
		_ = b.Close()
	}
	idle := time.AfterFunc(idleTime, end)
	defer idle.Stop()
	pass := func(to, from net.Conn) {
		defer end()
		buf := make([]byte, maxDatagram)
		for {
			n, err := from.Read(buf)
			switch {
			case errors.Is(err, syscall.ECONNREFUSED): // about an earlier one
				continue
			case err != nil:
				return
			}
			idle.Reset(idleTime)
			_, _ = to.Write(buf[:n])
		}
	}
	var both sync.WaitGroup
	both.Go(func() { pass(a, b) })
	pass(b, a)
	both.Wait()
}
