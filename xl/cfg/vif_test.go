package cfg

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gozen/hypervisor/config"
)

func forward(protocol, host, guest string) config.Forward {
	return config.Forward{Protocol: protocol, Host: netip.MustParseAddrPort(host), Guest: netip.MustParseAddrPort(guest)}
}

func TestParseVIF(t *testing.T) {
	for spec, want := range map[string]config.NIC{
		"":           {ID: 3, Bridge: "xenbr0"},
		"bridge=br1": {ID: 3, Bridge: "br1"},
		"bridge=":    {ID: 3},
		" mac=00:16:3E:00:00:01 , ip=10.0.0.2, vifname=web, mtu=9000, queues=2, devid=7": {ID: 7, Bridge: "xenbr0", MAC: "00:16:3E:00:00:01", IP: "10.0.0.2", Name: "web", MTU: 9000, Queues: 2},
		"type=ioemu,model=e1000,script=vif-bridge,backend=0,trusted":                     {ID: 3, Bridge: "xenbr0"},
		"script=/etc/xen/scripts/vif-bridge":                                             {ID: 3, Bridge: "xenbr0", Script: "/etc/xen/scripts/vif-bridge"},
		"script=vif-route,ip=10.0.0.9":                                                   {ID: 3, Bridge: "xenbr0", IP: "10.0.0.9", Script: "/etc/xen/scripts/vif-route"},
		"rate=10Mb/s":                                                                    {ID: 3, Bridge: "xenbr0", RateBytes: 62500, RateEvery: 50 * time.Millisecond},
		"rate=1MB/s@20ms":                                                                {ID: 3, Bridge: "xenbr0", RateBytes: 20000, RateEvery: 20 * time.Millisecond},
		"rate=8b/s@1s":                                                                   {ID: 3, Bridge: "xenbr0", RateBytes: 1, RateEvery: time.Second},
		"type=user":                                                                      {ID: 3, User: &config.UserNet{}},
		"type=user,mtu=9000,mac=00:16:3e:00:00:01,rate=8b/s@1s":                          {ID: 3, MTU: 9000, MAC: "00:16:3e:00:00:01", RateBytes: 1, RateEvery: time.Second, User: &config.UserNet{}},
		"hostfwd=tcp::2222-:22,hostaccess=1,hostfwd=udp:0.0.0.0:53-10.0.2.16:5353,hostfwd=::1-:2,type=user": {ID: 3, User: &config.UserNet{HostAccess: true, Forwards: []config.Forward{
			forward("tcp", "127.0.0.1:2222", "10.0.2.15:22"), forward("udp", "0.0.0.0:53", "10.0.2.16:5353"), forward("tcp", "127.0.0.1:1", "10.0.2.15:2")}}},
		"rate=2GB/s@1000us": {ID: 3, Bridge: "xenbr0", RateBytes: 2000000, RateEvery: time.Millisecond},
	} {
		got, e := ParseVIF(spec, 3)
		if e != nil {
			t.Errorf("%q: %v", spec, e)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(func(a, b config.Forward) bool { return a == b })); d != "" {
			t.Errorf("%q:\n%s", spec, d)
		}
	}
	for _, spec := range []string{"bridge", "mtu=x", "rate=10", "rate=10Mb", "rate=xMb/s", "rate=1b/s", "rate=1Mb/s@", "rate=1Mb/s@-1s", "rate=1Mb/s@1h", "type=tap",
		"type=user,bridge=br0", "type=user,bridge=", "vifname=a,type=user", "type=user,script=vif-bridge", "type=user,ip=10.0.0.1", "type=user,queues=2", "hostfwd=tcp::1-:2", "hostaccess=1",
		"type=user,hostfwd=tcp", "type=user,hostfwd=tcp::1", "type=user,hostfwd=sctp::1-:2", "type=user,hostfwd=tcp::0-:2", "type=user,hostfwd=tcp::1-:65536", "type=user,hostfwd=tcp:host:1-:2",
		"type=user,hostfwd=tcp:1-:2", "type=user,hostfwd=tcp::1-[::1]:2", "type=user,hostaccess=yes", "backend=net", "gatewaydev=eth0", "colour=red", "devid="} {
		if n, e := ParseVIF(spec, 0); e == nil {
			t.Errorf("%q is taken: %+v", spec, n)
		} else if e.What == "" || e.Fix == "" {
			t.Errorf("%q: %+v", spec, e)
		}
	}
}
