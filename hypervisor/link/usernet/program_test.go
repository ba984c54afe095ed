package usernet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/link"
)

// programVar makes the test binary the program.
const programVar = "GOZEN_USERNET_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(programVar) != "" {
		os.Exit(Main(nil, "test"))
	}
	os.Exit(m.Run())
}

// program runs the program with a configuration, and gives its end of the link; wait gives how it ended, and what it said.
func program(t *testing.T, user config.UserNet) (q *link.Queue, wait func() (string, error)) {
	t.Helper()
	q, theirs := socketPair(t)
	cfg := link.UserConfig{NIC: config.NIC{MAC: guestMAC, User: &user}}
	cfg.NIC.Complete("test")
	body, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), programVar+"=1")
	c.ExtraFiles = []*os.File{theirs}
	c.Stdin = bytes.NewReader(body)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	_, _ = io.ReadFull(out, make([]byte, len(link.UserReady)))
	ended := make(chan error)
	go func() { ended <- c.Wait() }()
	return q, func() (string, error) {
		select {
		case err := <-ended:
			return said.String(), err
		case <-time.After(patience):
			_ = c.Process.Kill()
			return said.String(), errors.Join(errors.New("it does not end"), <-ended)
		}
	}
}

// start is program for one that works, with a guest. At the end of the test it has to end well.
func start(t *testing.T, user config.UserNet) *guest {
	t.Helper()
	q, wait := program(t, user)
	t.Cleanup(func() { // after the guest's clean-up, which closes the link
		if said, err := wait(); err != nil || said != "" {
			t.Errorf("the program: %v\n%s", err, said)
		}
	})
	return newGuest(t, q)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// free gives a port that is free, mostly.
func free(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

func portOf(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

func atGateway(port uint16) netip.AddrPort { return netip.AddrPortFrom(gateway(), port) }

func TestProgram_dhcp(t *testing.T) {
	g := start(t, config.UserNet{})
	l := g.lease()
	if l.YourIPAddr.String() != config.UserGuest || l.Router()[0].String() != config.UserGateway || l.DNS()[0].String() != config.UserGateway || net.IP(l.SubnetMask()).String() != "255.255.255.0" {
		t.Error(l.Summary())
	}
}

func TestProgram_dns(t *testing.T) {
	g := start(t, config.UserNet{})
	for _, network := range []string{"udp", "tcp"} {
		r := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			if network == "tcp" {
				return g.dial(atGateway(portDNS))
			}
			return g.dialUDP(atGateway(portDNS)), nil
		}}
		got, err := r.LookupIP(t.Context(), "ip4", "host.gozen.internal.")
		if err != nil || len(got) != 1 || got[0].String() != config.UserGateway {
			t.Errorf("%s: %v %v", network, got, err)
		}
		// The program reads files of /etc inside its sandbox, too.
		name, err := os.Hostname()
		want, err2 := net.DefaultResolver.LookupIP(t.Context(), "ip4", name)
		if err != nil || err2 != nil {
			t.Logf("the host does not know its own name: %v %v", err, err2)
			continue
		}
		if got, err = r.LookupIP(t.Context(), "ip4", name+"."); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %s: %v %v, want %v", network, name, got, err, want)
		}
	}
}

// both sends so much each way, one after the other, and each side ends by itself.
func both(t *testing.T, first, second net.Conn) {
	t.Helper()
	type half interface{ CloseWrite() error }
	defer first.Close()
	defer second.Close()
	r := rand.NewChaCha8([32]byte{1})
	for _, d := range []struct{ from, to net.Conn }{{first, second}, {second, first}} {
		data := make([]byte, 3<<20)
		_, _ = r.Read(data)
		_ = d.from.SetDeadline(time.Now().Add(patience))
		_ = d.to.SetDeadline(time.Now().Add(patience))
		sent := make(chan error, 1)
		go func() {
			_, err := d.from.Write(data)
			sent <- errors.Join(err, d.from.(half).CloseWrite())
		}()
		got, err := io.ReadAll(d.to)
		if err = errors.Join(err, <-sent); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes of %d come: %v", len(got), len(data), err)
		}
	}
}

func TestProgram_outward(t *testing.T) {
	l := listen(t)
	g := start(t, config.UserNet{HostAccess: true})
	for _, first := range []bool{true, false} {
		c, err := g.dial(atGateway(portOf(l.Addr())))
		if err != nil {
			t.Fatal(err)
		}
		h, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if first {
			both(t, c, h)
		} else {
			both(t, h, c)
		}
	}
	if _, err := g.dial(atGateway(free(t).Port())); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a port where nobody listens: %v", err)
	}
	// One that is cut on the host is cut in the guest.
	c, err := g.dial(atGateway(portOf(l.Addr())))
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = h.(*net.TCPConn).SetLinger(0)
	_ = h.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the end of a connection that was cut: %v", err)
	}
	_ = c.Close()
}

func TestProgram_outwardUDP(t *testing.T) {
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_ = p.SetDeadline(time.Now().Add(patience))
	g := start(t, config.UserNet{HostAccess: true})
	c := g.dialUDP(atGateway(portOf(p.LocalAddr())))
	for i := range 3 {
		want := fmt.Sprint("datagram ", i)
		if _, err := c.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, from, err := p.ReadFrom(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("%q %v", b[:n], err)
		}
		if _, err := p.WriteTo(bytes.ToUpper(b[:n]), from); err != nil {
			t.Fatal(err)
		}
		if n, err = c.Read(b); err != nil || string(b[:n]) != strings.ToUpper(want) {
			t.Fatalf("%q %v", b[:n], err)
		}
	}
}

func TestProgram_inward(t *testing.T) {
	host, udp := free(t), free(t)
	g := start(t, config.UserNet{Forwards: []config.Forward{
		{Protocol: "tcp", Host: host, Guest: netip.AddrPortFrom(netip.MustParseAddr(config.UserGuest), 22)},
		{Protocol: "udp", Host: udp, Guest: netip.AddrPortFrom(netip.MustParseAddr(config.UserGuest), 53)}}})
	l, err := g.listen(22)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp4", host.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if a := netip.MustParseAddrPort(in.RemoteAddr().String()); a.Addr() != gateway() {
		t.Errorf("it comes from %v", a)
	}
	both(t, c, in)
	_ = l.Close()

	p, err := g.listenUDP(53)
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.Dial("udp4", udp.String())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	_ = u.SetDeadline(time.Now().Add(patience))
	for range 3 {
		if _, err := u.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, from, err := p.ReadFrom(b)
		if err != nil || string(b[:n]) != "question" {
			t.Fatalf("%q %v", b[:n], err)
		}
		if _, err := p.WriteTo([]byte("answer"), from); err != nil {
			t.Fatal(err)
		}
		if n, err = u.Read(b); err != nil || string(b[:n]) != "answer" {
			t.Fatalf("%q %v", b[:n], err)
		}
	}
}

// TestProgram_isolated has a guest try every way to the host's loopback; then the host itself uses it, and is the first to be heard.
func TestProgram_isolated(t *testing.T) {
	l := listen(t)
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	g := start(t, config.UserNet{})
	port := portOf(l.Addr())
	for _, a := range []string{config.UserGateway, "0.0.0.0", "10.0.2.3"} {
		if _, err := g.dial(netip.AddrPortFrom(netip.MustParseAddr(a), port)); err == nil {
			t.Errorf("%s leads to the host's loopback", a)
		}
	}
	if _, err := g.dial(atGateway(port)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the gateway does not refuse: %v", err)
	}
	guest := netip.MustParseAddr(config.UserGuest)
	for _, a := range []string{"127.0.0.1", "127.9.9.9", "0.0.0.0", "0.0.0.1", "255.255.255.255", "224.0.0.1", config.UserGateway, "10.0.2.255"} {
		to := netip.MustParseAddr(a)
		g.send(packet(guest, to, protoTCP, syn(1000, port)))
		g.send(packet(guest, to, protoUDP, datagram(1000, portOf(p.LocalAddr()), []byte("from the guest"))))
		g.send(packet(netip.IPv4Unspecified(), to, protoTCP, syn(1001, port)))
		g.send(packet(netip.MustParseAddr("127.0.0.1"), to, protoTCP, syn(1002, port)))
	}
	if l := g.lease(); l.YourIPAddr.String() != config.UserGuest { // by now all of these have been looked at
		t.Error(l.Summary())
	}
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if h, err := l.Accept(); err != nil || h.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("the guest reached a listener on the loopback: %v %v", h, err)
	}
	u, err := net.Dial("udp4", p.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	_, _ = u.Write([]byte("from the host"))
	b := make([]byte, 100)
	if n, _, err := p.ReadFrom(b); err != nil || string(b[:n]) != "from the host" {
		t.Errorf("%q %v", b[:n], err)
	}
}

func TestProgram_refused(t *testing.T) {
	l := listen(t)
	guest := netip.AddrPortFrom(netip.MustParseAddr(config.UserGuest), 22)
	for want, f := range map[string]config.Forward{
		"is taken by another program":           {Protocol: "tcp", Host: netip.MustParseAddrPort(l.Addr().String()), Guest: guest},
		"the host has no address 192.0.2.1":     {Protocol: "udp", Host: netip.MustParseAddrPort("192.0.2.1:4000"), Guest: guest},
		"cannot be had (write it as tcp::8080-": {Protocol: "sctp", Host: free(t), Guest: guest},
	} {
		q, wait := program(t, config.UserNet{Forwards: []config.Forward{f}})
		said, err := wait()
		if err == nil || !strings.Contains(said, want) || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: %v, %q", want, err, said)
		}
		_ = q.Close()
	}
}
