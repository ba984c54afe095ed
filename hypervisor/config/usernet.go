package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// UserNet is a network of one NIC's own, made by a process without rights over the host's network: the guest gets an address by DHCP, names and ways out from the
// gateway, and connections from the host where they are forwarded.
type UserNet struct {
	// HostAccess gives the guest the host's 127.0.0.1, as UserGateway.
	HostAccess bool      `json:"host_access,omitempty"`
	Forwards   []Forward `json:"forwards,omitempty"`
}

// Addresses of such a network.
const (
	UserSubnet     = "10.0.2.0/24"
	UserGateway    = "10.0.2.2" // serves DHCP and DNS, too
	UserGatewayMAC = "52:55:0a:00:02:02"
	UserGuest      = "10.0.2.15"
)

// minUserMTU is the least MTU of IPv4 hosts (RFC 791).
const minUserMTU = 576

// Forward takes connections, or datagrams, on an address of the host to one of the guest.
type Forward struct {
	Protocol string         `json:"protocol"` // tcp or udp
	Host     netip.AddrPort `json:"host"`
	Guest    netip.AddrPort `json:"guest"`
}

// String gives it as it is written in xl.cfg.
func (f Forward) String() string { return fmt.Sprintf("%s:%s-%s", f.Protocol, f.Host, f.Guest) }

// ParseForward reads [tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT, as QEMU's hostfwd. HOSTADDR is 127.0.0.1 if not given.
func ParseForward(s string) (Forward, error) {
	var f Forward
	protocol, rest, ok := strings.Cut(s, ":")
	host, guest, ok2 := strings.Cut(rest, "-")
	if !ok || !ok2 {
		return f, fmt.Errorf("it is not [tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT")
	}
	switch protocol {
	case "", "tcp":
		f.Protocol = "tcp"
	case "udp":
		f.Protocol = "udp"
	default:
		return f, fmt.Errorf("%q is neither tcp nor udp", protocol)
	}
	var err error
	if f.Host, err = parseEnd(host, "127.0.0.1"); err != nil {
		return f, fmt.Errorf("on the host, %w", err)
	}
	if f.Guest, err = parseEnd(guest, UserGuest); err != nil {
		return f, fmt.Errorf("on the guest, %w", err)
	}
	return f, nil
}

// parseEnd reads [ADDRESS]:PORT.
func parseEnd(s, address string) (netip.AddrPort, error) {
	a, p, ok := strings.Cut(s, ":")
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%q is not [ADDRESS]:PORT", s)
	}
	if a == "" {
		a = address
	}
	ip, err := netip.ParseAddr(a)
	if err != nil || !ip.Is4() {
		return netip.AddrPort{}, fmt.Errorf("%q is not an IPv4 address", a)
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is not a port from 1 to 65535", p)
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// checkUser says what is wrong with a device that has a network of its own.
func (n *NIC) checkUser(bad func(what, why, fix string) *Error) *Error {
	alone := func(key string) *Error {
		return bad(key+" cannot be had with type=user", "such a device is on no interface of the host", "leave out "+key+", or type=user")
	}
	switch {
	case n.Bridge != "":
		return alone("bridge")
	case n.Name != "":
		return alone("vifname")
	case n.IP != "":
		return bad("ip cannot be had with type=user", "the guest gets "+UserGuest+" by DHCP", "leave out ip")
	case n.Queues > 1:
		return bad(fmt.Sprintf("%d queues cannot be had with type=user", n.Queues), "such a device has one", "leave out queues")
	case n.MTU < minUserMTU:
		return bad(fmt.Sprintf("an MTU of %d cannot be had with type=user", n.MTU), fmt.Sprintf("it is %d at least", minUserMTU), "take 1500, or leave it out")
	case n.MAC == UserGatewayMAC:
		return bad(n.MAC+" is the gateway's address", "", "take one that begins with 00:16:3e")
	}
	subnet, gateway := netip.MustParsePrefix(UserSubnet), netip.MustParseAddr(UserGateway)
	for i, f := range n.User.Forwards {
		if a := f.Guest.Addr(); !subnet.Contains(a) || a == gateway {
			return bad(fmt.Sprintf("hostfwd=%s: %s is not the guest's address", f, a), "the guest is in "+UserSubnet+", where "+UserGateway+" is the gateway", "leave it out, which means "+UserGuest)
		}
		if f.Protocol != "tcp" && f.Protocol != "udp" || !f.Host.Addr().Is4() || f.Host.Port() == 0 || f.Guest.Port() == 0 {
			return bad(fmt.Sprintf("hostfwd=%s cannot be had", f), "", "write it as tcp::8080-:80")
		}
		for _, o := range n.User.Forwards[:i] {
			if o.Protocol == f.Protocol && o.Host == f.Host {
				return bad(fmt.Sprintf("hostfwd has %s port %s twice", f.Protocol, f.Host), "", "give each forward a port of its own")
			}
		}
	}
	return nil
}
