package usernet

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"gozen/hypervisor/config"
	"gozen/hypervisor/link"
)

func guestAddr() netip.Addr { return netip.MustParseAddr(config.UserGuest) }

// whoHas makes a question for the gateway's address.
func whoHas(mac string) []byte {
	m, _ := net.ParseMAC(mac)
	b := append([]byte{255, 255, 255, 255, 255, 255}, m...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, m...), 10, 0, 2, 15)
	return append(b, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2)
}

func echo(to netip.Addr) []byte {
	return packet(guestAddr(), to, protoICMP, []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1})
}

func TestFrames_passes(t *testing.T) {
	mac, _ := net.ParseMAC(guestMAC)
	f := newFrames(nil, mac, config.DefaultMTU)
	far := netip.MustParseAddr("192.0.2.1")
	whole := packet(guestAddr(), far, protoTCP, make([]byte, config.DefaultMTU-ip4Header))
	of := func(kind uint16) []byte {
		b := packet(guestAddr(), far, protoTCP, syn(1, 2))
		binary.BigEndian.PutUint16(b[12:], kind)
		return b
	}
	for name, c := range map[string]struct {
		frame []byte
		want  bool
	}{
		"nothing":              {nil, false},
		"a header's begin":     {whole[:13], false},
		"a header":             {whole[:14], false},
		"half a packet header": {whole[:33], false},
		"a packet header":      {whole[:34], true},
		"as long as can be":    {whole, true},
		"too long":             {append(whole, 0), false},
		"arp":                  {whoHas(guestMAC), true},
		"arp, cut":             {whoHas(guestMAC)[:41], false},
		"arp, of another":      {whoHas("00:16:3e:01:02:04"), false},
		"ipv6":                 {of(0x86dd), false},
		"vlan":                 {of(0x8100), false},
		"a length":             {of(100), false},
		"udp":                  {packet(guestAddr(), far, protoUDP, datagram(1, 2, nil)), true},
		"gre":                  {packet(guestAddr(), far, 47, make([]byte, 20)), false},
		"echo, gateway":        {echo(gateway()), true},
		"echo, far":            {echo(far), false},
		"without an address":   {packet(netip.IPv4Unspecified(), far, protoUDP, datagram(68, 67, nil)), true},
		"from the gateway":     {packet(gateway(), far, protoUDP, datagram(1, 2, nil)), false},
		"from the loopback":    {packet(netip.MustParseAddr("127.0.0.1"), far, protoUDP, datagram(1, 2, nil)), false},
		"from elsewhere":       {packet(netip.MustParseAddr("10.0.3.15"), far, protoUDP, datagram(1, 2, nil)), false},
	} {
		if got := f.passes(c.frame); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTarget(t *testing.T) {
	for _, access := range []bool{false, true} {
		n := network{cfg: config.NIC{User: &config.UserNet{HostAccess: access}}}
		for a, want := range map[string]string{"192.0.2.1:80": "192.0.2.1:80", "10.0.3.1:1": "10.0.3.1:1", "223.255.255.255:9": "223.255.255.255:9", "10.0.2.2:22": "127.0.0.1:22",
			"10.0.2.1:1": "", "10.0.2.15:1": "", "10.0.2.255:1": "", "127.0.0.1:1": "", "127.255.0.1:1": "", "0.0.0.0:1": "", "0.1.2.3:1": "", "169.254.169.254:80": "",
			"224.0.0.251:5353": "", "240.0.0.1:1": "", "255.255.255.255:67": ""} {
			if a == "10.0.2.2:22" && !access {
				want = ""
			}
			got, ok := n.target(netip.MustParseAddrPort(a))
			if ok != (want != "") || ok && got.String() != want {
				t.Errorf("access %v: %s leads to %v %v, want %q", access, a, got, ok, want)
			}
		}
	}
}

func TestBudget(t *testing.T) {
	b := make(budget, 1)
	d := b.dial(func(_ context.Context, network, _ string) (net.Conn, error) {
		switch network {
		case "udp":
			return &net.UDPConn{}, nil
		case "tcp":
			return &net.TCPConn{}, nil
		case "pipe":
			c, _ := net.Pipe()
			return c, nil
		}
		return nil, io.ErrUnexpectedEOF
	})
	for _, network := range []string{"udp", "tcp", "pipe", "nothing", "udp"} {
		c, err := d(t.Context(), network, "")
		if network == "nothing" {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		if _, ok := c.(net.PacketConn); ok != (network == "udp") {
			t.Errorf("%s: %T", network, c)
		}
		if _, err := d(t.Context(), network, ""); !errors.Is(err, errBudget) {
			t.Errorf("%s: one more: %v", network, err)
		}
		_ = c.Close()
		_ = c.Close() // gives it back once
	}
	if b.take() == nil || b.take() != nil {
		t.Error("the budget has changed")
	}
}

// script is a link that gives frames, and then ends.
type script struct {
	frames [][]byte
	mu     sync.Mutex
	sent   int
}

func (s *script) Send(link.Header, [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	return nil
}

func (s *script) Receive(h *link.Header, parts [][]byte, _ bool) (int, error) {
	if len(s.frames) == 0 {
		return 0, link.ErrStopped
	}
	f := s.frames[0]
	s.frames = s.frames[1:]
	if len(f) >= len(parts[0]) {
		return 0, link.ErrLong
	}
	h.GSOType = 0
	return copy(parts[0], f), nil
}

func (s *script) Close() error { return nil }

// pipes are connections of a host that answers with what it hears.
type pipes struct {
	mu   sync.Mutex
	open []net.Conn
}

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	go func() { _, _ = io.Copy(b, b) }()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, a, b)
	return a, nil
}

func (p *pipes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close()
	}
}

// FuzzFrames has a guest send any frames, each after its length in two bytes. A first byte of 1 makes the next 12 its own address and the gateway's, so that what
// is behind them is looked at.
func FuzzFrames(f *testing.F) {
	quiet()
	mac, _ := net.ParseMAC(guestMAC)
	discover, err := dhcpv4.NewDiscovery(mac)
	if err != nil {
		f.Fatal(err)
	}
	query := append([]byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 'h', 'o', 's', 't', 5, 'g', 'o', 'z', 'e', 'n', 8}, "internal\x00\x00\x01\x00\x01"...)
	far := netip.MustParseAddr("192.0.2.1")
	frames := [][]byte{whoHas(guestMAC), echo(gateway()), packet(guestAddr(), far, protoTCP, syn(1000, 80)), packet(guestAddr(), far, protoUDP, datagram(1000, 53, []byte("text"))),
		packet(netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255}), protoUDP, datagram(68, 67, discover.ToBytes())),
		packet(guestAddr(), gateway(), protoUDP, datagram(1000, 53, query)), packet(guestAddr(), netip.MustParseAddr("127.0.0.1"), protoTCP, syn(1000, 80))}
	var all []byte
	for _, b := range frames {
		one := binary.BigEndian.AppendUint16(nil, uint16(len(b)))
		one = append(append(one, b[0]), b[1:]...)
		f.Add(one)
		all = append(all, one...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &script{}
		for len(b) > 2 && len(s.frames) < 64 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			frame := append([]byte(nil), b[2:2+n]...)
			b = b[2+n:]
			if n > 12 && frame[0] == 1 {
				gate, _ := net.ParseMAC(config.UserGatewayMAC)
				copy(frame, gate)
				copy(frame[6:], mac)
			}
			s.frames = append(s.frames, frame)
		}
		cfg := config.NIC{MAC: guestMAC, User: &config.UserNet{HostAccess: true}}
		cfg.Complete("fuzz")
		var p pipes
		n, err := newNetwork(cfg, p.dial)
		if err != nil {
			t.Fatal(err)
		}
		n.run(s)
		p.close()
		n.close()
	})
}
