package usernet

import (
	"context"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// maxDials is how many of the guest's connections wait for their hosts' answers at once. More are not answered, and the guest tries again.
const maxDials = 64

// target gives where the host is to connect for a guest that connects to an address; false: nowhere. Beyond the gateway is all that the host reaches, but for its
// own loopback, in every way to name it, and link-local addresses (where clouds keep credentials). The guest's own network leads nowhere else either, as the
// host may be in one of the same addresses.
func (n *network) target(a netip.AddrPort) (netip.AddrPort, bool) {
	ip := a.Addr()
	switch first := ip.As4()[0]; {
	case ip == gateway():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port()), n.cfg.User.HostAccess
	case subnet().Contains(ip), ip.IsLoopback(), ip.IsLinkLocalUnicast(), first == 0, first >= 224: // Linux takes 0.0.0.0 for its loopback; then multicast, reserved, broadcast
		return netip.AddrPort{}, false
	}
	return a, true
}

// outward has the host make what connections and flows of datagrams the guest begins.
func (n *network) outward() {
	streams := tcp.NewForwarder(n.stack, usualBuffer, maxDials, n.stream)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, streams.HandlePacket)
	packets := udp.NewForwarder(n.stack, n.flow)
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber, packets.HandlePacket)
}

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(a.As4()), port)
}

// stream connects for the guest, which sees its connection made, or refused, when the host's is.
func (n *network) stream(r *tcp.ForwarderRequest) {
	to, ok := n.target(addrPort(r.ID().LocalAddress, r.ID().LocalPort))
	if !ok {
		r.Complete(true)
		return
	}
	host, err := n.dial(context.Background(), "tcp4", to.String())
	if err != nil {
		r.Complete(true)
		return
	}
	var wq waiter.Queue
	ep, e := r.CreateEndpoint(&wq)
	r.Complete(false)
	if e != nil {
		_ = host.Close()
		return
	}
	keepAlive(ep)
	join(guestStream{gonet.NewTCPConn(&wq, ep), ep}, host)
}

// keepAlive finds out about a guest that was started again, and knows nothing of its connections.
func keepAlive(ep tcpip.Endpoint) {
	ep.SocketOptions().SetKeepAlive(true)
	idle, interval := tcpip.KeepaliveIdleOption(time.Minute), tcpip.KeepaliveIntervalOption(30*time.Second)
	_ = ep.SetSockOpt(&idle)
	_ = ep.SetSockOpt(&interval)
	_ = ep.SetSockOptInt(tcpip.KeepaliveCountOption, 4)
}

// flow begins a flow of datagrams with the guest's first one.
func (n *network) flow(r *udp.ForwarderRequest) {
	to, ok := n.target(addrPort(r.ID().LocalAddress, r.ID().LocalPort))
	if !ok {
		return
	}
	host, err := n.dial(context.Background(), "udp4", to.String()) // waits for nobody
	if err != nil {
		return
	}
	var wq waiter.Queue
	ep, e := r.CreateEndpoint(&wq)
	if e != nil {
		_ = host.Close()
		return
	}
	go exchange(gonet.NewUDPConn(&wq, ep), host)
}

// guestStream is a connection in the stack that can be reset.
type guestStream struct {
	*gonet.TCPConn
	ep tcpip.Endpoint
}

func (g guestStream) abort() { g.ep.Abort(); _ = g.Close() }

// abort ends a connection so that the other side sees that it was cut, where that can be had.
func abort(c net.Conn) {
	switch c := c.(type) {
	case guestStream:
		c.abort()
		return
	case interface{ SetLinger(int) error }:
		_ = c.SetLinger(0)
	}
	_ = c.Close()
}
