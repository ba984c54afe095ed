package usernet

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"gozen/hypervisor/config"
	"gozen/hypervisor/link"
)

// patience bounds every wait.
const patience = time.Minute

const guestMAC = "00:16:3e:01:02:03"

// socketPair gives the guest's queue and the network's end of a link.
func socketPair(t testing.TB) (*link.Queue, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	q, err := link.NewQueue(os.NewFile(uintptr(fds[0]), "guest"))
	if err != nil {
		t.Fatal(err)
	}
	return q, os.NewFile(uintptr(fds[1]), "network")
}

// guest is a guest with a TCP/IP of its own, at the other end of a link.
type guest struct {
	t      *testing.T
	q      *link.Queue
	out    chan []byte // frames to be sent
	stack  *stack.Stack
	frames chan []byte // that came, as far as anybody looks at them
}

func newGuest(t *testing.T, q *link.Queue) *guest {
	t.Helper()
	mac, _ := net.ParseMAC(guestMAC)
	g := &guest{t: t, q: q, out: make(chan []byte), frames: make(chan []byte, 1024)}
	ch := channel.New(1024, config.DefaultMTU, tcpip.LinkAddress(mac))
	g.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	if e := g.stack.CreateNIC(nic, ethernet.New(ch)); e != nil {
		t.Fatal(e)
	}
	if e := g.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(netip.MustParseAddr(config.UserGuest).As4()), PrefixLen: 24}}, stack.AddressProperties{}); e != nil {
		t.Fatal(e)
	}
	net, _ := tcpip.NewSubnet(tcpip.AddrFrom4(subnet().Addr().As4()), tcpip.MaskFromBytes([]byte{255, 255, 255, 0}))
	g.stack.SetRouteTable([]tcpip.Route{{Destination: net, NIC: nic}, {Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFrom4(gateway().As4()), NIC: nic}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan bool, 3)
	go func() {
		for p := ch.ReadContext(ctx); p != nil; p = ch.ReadContext(ctx) {
			g.send(p.ToView().AsSlice())
			p.DecRef()
		}
		ended <- true
	}()
	go func() { // one goroutine sends
		for b := range g.out {
			_ = q.Send(link.Header{Flags: 1, CsumStart: 34, CsumOffset: 16}, [][]byte{b}) // as if a checksum were left to do: nobody looks
		}
		ended <- true
	}()
	go func() { g.receive(ch); ended <- true }()
	t.Cleanup(func() {
		g.stack.Close()
		cancel()
		q.Stop()
		<-ended
		<-ended
		close(g.out)
		<-ended
		_ = q.Close()
	})
	return g
}

func (g *guest) send(frame []byte) { g.out <- frame }

func (g *guest) receive(ch *channel.Endpoint) {
	b := make([]byte, 1<<16)
	for {
		var h link.Header
		n, err := g.q.Receive(&h, [][]byte{b}, true)
		if err != nil {
			return
		}
		select {
		case g.frames <- append([]byte(nil), b[:n]...):
		default:
		}
		p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b[:n])})
		ch.InjectInbound(0, p)
		p.DecRef()
	}
}

// dial connects the guest to an address.
func (g *guest) dial(to netip.AddrPort) (*gonet.TCPConn, error) {
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	c, err := gonet.DialContextTCP(ctx, g.stack, full(to), ipv4.ProtocolNumber)
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// dialUDP gives the guest a socket for datagrams to an address.
func (g *guest) dialUDP(to netip.AddrPort) *gonet.UDPConn {
	g.t.Helper()
	a := full(to)
	c, err := gonet.DialUDP(g.stack, nil, &a, ipv4.ProtocolNumber)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	g.t.Cleanup(func() { _ = c.Close() })
	return c
}

// find gives the first part behind the headers of a frame of UDP that came for a port.
func (g *guest) find(port uint16) []byte {
	g.t.Helper()
	for end := time.After(patience); ; {
		select {
		case f := <-g.frames:
			if len(f) > 42 && f[23] == protoUDP && binary.BigEndian.Uint16(f[36:]) == port {
				return f[42:]
			}
		case <-end:
			g.t.Fatalf("nothing comes for UDP port %d", port)
		}
	}
}

// lease asks DHCP for an address, as a guest without one.
func (g *guest) lease() *dhcpv4.DHCPv4 {
	g.t.Helper()
	mac, _ := net.ParseMAC(guestMAC)
	ask := func(m *dhcpv4.DHCPv4, err error) *dhcpv4.DHCPv4 {
		if err != nil {
			g.t.Fatal(err)
		}
		g.send(packet(netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255}), protoUDP, datagram(68, 67, m.ToBytes())))
		answer, err := dhcpv4.FromBytes(g.find(68))
		if err != nil {
			g.t.Fatal(err)
		}
		return answer
	}
	offer := ask(dhcpv4.NewDiscovery(mac))
	if offer.MessageType() != dhcpv4.MessageTypeOffer {
		g.t.Fatal(offer.Summary())
	}
	return ask(dhcpv4.NewRequestFromOffer(offer))
}

// datagram makes a UDP header with what is behind it.
func datagram(from, to uint16, data []byte) []byte {
	b := make([]byte, header.UDPMinimumSize+len(data))
	header.UDP(b).Encode(&header.UDPFields{SrcPort: from, DstPort: to, Length: uint16(len(b))})
	copy(b[header.UDPMinimumSize:], data)
	return b
}

// syn makes the first segment of a connection.
func syn(from, to uint16) []byte {
	b := make([]byte, header.TCPMinimumSize)
	header.TCP(b).Encode(&header.TCPFields{SrcPort: from, DstPort: to, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1000})
	return b
}

// packet makes a frame from the guest to the gateway.
func packet(from, to netip.Addr, proto uint8, rest []byte) []byte {
	mac, _ := net.ParseMAC(guestMAC)
	gate, _ := net.ParseMAC(config.UserGatewayMAC)
	if to == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		gate = net.HardwareAddr{255, 255, 255, 255, 255, 255}
	}
	b := make([]byte, ethernetHeader+ip4Header)
	header.Ethernet(b).Encode(&header.EthernetFields{SrcAddr: tcpip.LinkAddress(mac), DstAddr: tcpip.LinkAddress(gate), Type: ipv4.ProtocolNumber})
	ip := header.IPv4(b[ethernetHeader:])
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(ip4Header + len(rest)), TTL: 64, Protocol: proto, SrcAddr: tcpip.AddrFrom4(from.As4()), DstAddr: tcpip.AddrFrom4(to.As4())})
	ip.SetChecksum(^checksum.Checksum(b[ethernetHeader:], 0))
	return append(b, rest...)
}

// listen has the guest listen on a port.
func (g *guest) listen(port uint16) (*gonet.TCPListener, error) {
	return gonet.ListenTCP(g.stack, tcpip.FullAddress{NIC: nic, Port: port}, ipv4.ProtocolNumber)
}

func (g *guest) listenUDP(port uint16) (*gonet.UDPConn, error) {
	a := tcpip.FullAddress{NIC: nic, Port: port}
	c, err := gonet.DialUDP(g.stack, &a, nil, ipv4.ProtocolNumber)
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(patience))
		g.t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}
