package usernet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"gozen/hypervisor/config"
)

// inward takes a port of the host for the guest.
func (n *network) inward(f config.Forward) error {
	if f.Protocol == "udp" {
		l, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(f.Host))
		if err != nil {
			return taken(f, err)
		}
		n.inwards = append(n.inwards, l)
		w := &peers{n: n, host: l, to: f.Guest, flows: map[netip.AddrPort]*peer{}}
		go w.run()
		return nil
	}
	l, err := net.Listen("tcp4", f.Host.String())
	if err != nil {
		return taken(f, err)
	}
	n.inwards = append(n.inwards, l)
	go n.accept(l, f.Guest)
	return nil
}

// taken says why a port cannot be had.
func taken(f config.Forward, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("hostfwd=%s: %s port %s is taken by another program", f, f.Protocol, f.Host)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("hostfwd=%s: this user may not have %s port %d, as it is one of the first 1024", f, f.Protocol, f.Host.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("hostfwd=%s: the host has no address %s", f, f.Host.Addr())
	}
	return fmt.Errorf("hostfwd=%s: %w", f, err)
}

// pause is how long nothing is asked of a socket that has failed.
const pause = 10 * time.Millisecond

// accept takes connections for the guest. One that the guest does not take is cut.
func (n *network) accept(l net.Listener, to netip.AddrPort) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // it is gone again, or there are no files left
			time.Sleep(pause)
			continue
		}
		release := n.budget.take()
		if release == nil {
			abort(c)
			continue
		}
		go n.connect(counted(c, release), to)
	}
}

func (n *network) connect(host net.Conn, to netip.AddrPort) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	guest, err := gonet.DialContextTCP(ctx, n.stack, full(to), ipv4.ProtocolNumber)
	if err != nil {
		abort(host)
		return
	}
	join(guest, host)
}

// peers hands datagrams for a port of the host on: a flow in the stack for each address that they come from.
type peers struct {
	n    *network
	host *net.UDPConn
	to   netip.AddrPort

	mu    sync.Mutex
	flows map[netip.AddrPort]*peer
}

// peer is such a flow.
type peer struct {
	net.Conn // in the stack
	idle     *time.Timer
}

func (p *peers) run() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := p.host.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(pause)
			continue
		}
		if f := p.flow(from); f != nil {
			f.idle.Reset(idleTime)
			_, _ = f.Write(buf[:n])
		}
	}
}

// flow gives the one of an address, nil if there cannot be more.
func (p *peers) flow(from netip.AddrPort) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flows[from]; f != nil {
		return f
	}
	release := p.n.budget.take()
	if release == nil {
		return nil
	}
	to := full(p.to)
	guest, err := gonet.DialUDP(p.n.stack, nil, &to, ipv4.ProtocolNumber)
	if err != nil {
		release()
		return nil
	}
	f := &peer{guest, time.AfterFunc(idleTime, func() { _ = guest.Close() })}
	p.flows[from] = f
	go func() {
		defer release()
		p.answer(f, from)
	}()
	return f
}

// answer takes the guest's datagrams to an address until the flow ends.
func (p *peers) answer(f *peer, to netip.AddrPort) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.flows, to)
		f.idle.Stop()
		_ = f.Close()
	}()
	buf := make([]byte, maxDatagram)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		f.idle.Reset(idleTime)
		if _, err := p.host.WriteToUDPAddrPort(buf[:n], to); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}
