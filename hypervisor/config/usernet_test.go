package config

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func userNIC(change func(*NIC)) NIC {
	n := NIC{User: &UserNet{HostAccess: true, Forwards: []Forward{
		{"tcp", netip.MustParseAddrPort("127.0.0.1:2222"), netip.MustParseAddrPort("10.0.2.15:22")},
		{"udp", netip.MustParseAddrPort("127.0.0.1:2222"), netip.MustParseAddrPort("10.0.2.16:22")}}}}
	n.Complete("n")
	if change != nil {
		change(&n)
	}
	return n
}

func TestUserNet(t *testing.T) {
	n := userNIC(nil)
	if e := n.Check(); e != nil {
		t.Error(e)
	}
	b, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	var back NIC
	if err := json.Unmarshal(b, &back); err != nil || cmp.Diff(n, back, cmp.Comparer(func(a, b Forward) bool { return a == b })) != "" {
		t.Errorf("%v: %s\n%+v", err, b, back)
	}
	if f, err := ParseForward(n.User.Forwards[1].String()); err != nil || f != n.User.Forwards[1] {
		t.Error(f, err)
	}
}

func TestUserNet_refused(t *testing.T) {
	for what, change := range map[string]func(*NIC){
		"bridge":                      func(n *NIC) { n.Bridge = "br0" },
		"vifname":                     func(n *NIC) { n.Name = "web" },
		"ip":                          func(n *NIC) { n.IP = "10.0.0.1" },
		"queues":                      func(n *NIC) { n.Queues = 2 },
		"MTU of 500":                  func(n *NIC) { n.MTU = 500 },
		"gateway's address":           func(n *NIC) { n.MAC = UserGatewayMAC },
		"not the guest's address":     func(n *NIC) { n.User.Forwards[0].Guest = netip.MustParseAddrPort("192.0.2.1:1") },
		"gateway":                     func(n *NIC) { n.User.Forwards[0].Guest = netip.MustParseAddrPort("10.0.2.2:1") },
		"twice":                       func(n *NIC) { n.User.Forwards[1].Protocol = "tcp" },
		"hostfwd=sctp":                func(n *NIC) { n.User.Forwards[1].Protocol = "sctp" },
		"hostfwd=udp:[::1]:1-10.0.2.": func(n *NIC) { n.User.Forwards[1].Host = netip.MustParseAddrPort("[::1]:1") },
	} {
		n := userNIC(change)
		if e := n.Check(); e == nil || !strings.Contains(e.What+e.Why, what) || e.Fix == "" {
			t.Errorf("%s: %+v", what, e)
		}
	}
}

func TestRefused(t *testing.T) {
	n := userNIC(nil)
	if e := n.Refused(errors.New("no bridge")); e.Why != "no bridge" || !strings.Contains(e.Fix, "ip link") {
		t.Errorf("%+v", e)
	}
	if e := n.Refused(&Error{What: "a port is taken", Why: "by another", Fix: "take one"}); e.What != "network device 0 cannot be had: a port is taken" || e.Why != "by another" || e.Fix != "take one" {
		t.Errorf("%+v", e)
	}
}
