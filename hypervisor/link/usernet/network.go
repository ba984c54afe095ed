package usernet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/containers/gvisor-tap-vsock/pkg/services/dhcp"
	"github.com/containers/gvisor-tap-vsock/pkg/services/dns"
	"github.com/containers/gvisor-tap-vsock/pkg/tap"
	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"gozen/hypervisor/config"
)

// nic is the gateway's number of its side of the link, the only one that its stack has.
const nic tcpip.NICID = 1

// Names that the gateway knows by itself: host.gozen.internal. is the gateway, and with it the host for a guest that may reach it.
const (
	ownZone  = "gozen.internal."
	hostName = "host"
)

func subnet() netip.Prefix { return netip.MustParsePrefix(config.UserSubnet) }
func gateway() netip.Addr  { return netip.MustParseAddr(config.UserGateway) }

// network is one guest's network.
type network struct {
	cfg     config.NIC
	mac     net.HardwareAddr
	budget  budget
	dial    dialer // within the budget
	stack   *stack.Stack
	sw      *tap.Switch
	inwards []io.Closer
	clean   []io.Closer // services
}

// newNetwork makes the network of a NIC, without a link yet, and takes the host's ports. dial is for what leaves it; nil is the host's.
func newNetwork(cfg config.NIC, dial dialer) (_ *network, err error) {
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTime}).DialContext
	}
	n := &network{cfg: cfg, budget: newBudget(), sw: tap.NewSwitch(false)}
	n.dial = n.budget.dial(dial)
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if n.mac, err = net.ParseMAC(cfg.MAC); err != nil || len(n.mac) != 6 {
		return nil, fmt.Errorf("the address %q is none of Ethernet's", cfg.MAC)
	}
	end, err := tap.NewLinkEndpoint(false, uint32(cfg.MTU), config.UserGatewayMAC, config.UserGateway, nil)
	if err != nil {
		return nil, err
	}
	end.Connect(n.sw)
	n.sw.Connect(end)
	if n.stack, err = newStack(end); err != nil {
		return nil, err
	}
	n.outward()
	if err := n.serve(); err != nil {
		return nil, err
	}
	for _, f := range cfg.User.Forwards {
		if err := n.inward(f); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Bounds of one connection's buffers in the stack, in bytes. The link is short: what a far host needs is in the host kernel's buffers.
const (
	usualBuffer = 256 << 10
	mostBuffer  = 512 << 10
)

// newStack makes the gateway's TCP/IP. It takes packets to any address, and answers in the name of each: it is every host beyond the gateway.
func newStack(end stack.LinkEndpoint) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	net := subnet()
	route, err := tcpip.NewSubnet(tcpip.AddrFrom4(net.Addr().As4()), tcpip.MaskFromBytes([]byte{255, 255, 255, 0}))
	if err != nil {
		return nil, err
	}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: usualBuffer, Max: mostBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: usualBuffer, Max: mostBuffer}
	sack := tcpip.TCPSACKEnabled(true)
	for _, e := range []tcpip.Error{
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive),
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &send),
		s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack),
		s.CreateNIC(nic, end),
		s.AddProtocolAddress(nic, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber,
			AddressWithPrefix: tcpip.AddrFrom4(gateway().As4()).WithPrefix()}, stack.AddressProperties{}),
		s.SetSpoofing(nic, true),
		s.SetPromiscuousMode(nic, true),
	} {
		if e != nil {
			return nil, errors.New(e.String())
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: route, NIC: nic}})
	return s, nil
}

// full is an address in the stack.
func full(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(a.Addr().As4()), Port: a.Port()}
}

// Ports of the gateway.
const portDNS = 53

// serve starts what the gateway itself does: DHCP and DNS.
func (n *network) serve() error {
	pool := tap.NewIPPool(&net.IPNet{IP: subnet().Addr().AsSlice(), Mask: net.CIDRMask(subnet().Bits(), 32)})
	pool.Reserve(net.ParseIP(config.UserGateway), config.UserGatewayMAC)
	pool.Reserve(net.ParseIP(config.UserGuest), n.mac.String())
	leases, err := dhcp.New(&types.Configuration{Subnet: config.UserSubnet, GatewayIP: config.UserGateway, MTU: n.cfg.MTU}, n.stack, pool)
	if err != nil {
		return fmt.Errorf("serve DHCP: %w", err)
	}
	n.clean = append(n.clean, leases.Underlying)
	at := full(netip.AddrPortFrom(gateway(), portDNS))
	packets, err := gonet.DialUDP(n.stack, &at, nil, ipv4.ProtocolNumber)
	if err != nil {
		return fmt.Errorf("serve DNS: %w", err)
	}
	n.clean = append(n.clean, packets)
	streams, err := gonet.ListenTCP(n.stack, at, ipv4.ProtocolNumber)
	if err != nil {
		return fmt.Errorf("serve DNS: %w", err)
	}
	n.clean = append(n.clean, streams)
	zones := []types.Zone{{Name: ownZone, Records: []types.Record{{Name: hostName, IP: net.ParseIP(config.UserGateway)}}}}
	resolver, err := dns.NewWithUpstreamResolver(packets, streams, zones, n.names())
	if err != nil {
		return fmt.Errorf("serve DNS: %w", err)
	}
	go func() { _ = leases.Serve() }()
	go func() { _ = resolver.Serve() }()
	go func() { _ = resolver.ServeTCP() }()
	return nil
}

// run carries frames between the link and the network until the link ends. It takes the queue over.
func (n *network) run(q queue) {
	_ = n.sw.Accept(context.Background(), newFrames(q, n.mac, n.cfg.MTU), types.BessProtocol)
}

// close gives the host's ports back.
func (n *network) close() {
	for _, c := range append(n.inwards, n.clean...) {
		_ = c.Close()
	}
	if n.stack != nil {
		n.stack.Close()
	}
}

// dialTime is how long a host may take to answer.
const dialTime = 30 * time.Second
