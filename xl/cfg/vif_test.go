package cfg

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gozen/hypervisor/config"
)

func TestParseVIF(t *testing.T) {
	for spec, want := range map[string]config.NIC{
		"":           {ID: 3, Bridge: "xenbr0"},
		"bridge=br1": {ID: 3, Bridge: "br1"},
		"bridge=":    {ID: 3},
		" mac=00:16:3E:00:00:01 , ip=10.0.0.2, vifname=web, mtu=9000, queues=2, devid=7": {ID: 7, Bridge: "xenbr0", MAC: "00:16:3E:00:00:01", IP: "10.0.0.2", Name: "web", MTU: 9000, Queues: 2},
		"type=ioemu,model=e1000,script=vif-bridge,backend=0,trusted":                     {ID: 3, Bridge: "xenbr0"},
		"script=/etc/xen/scripts/vif-bridge":                                             {ID: 3, Bridge: "xenbr0"},
		"rate=10Mb/s":                                                                    {ID: 3, Bridge: "xenbr0", RateBytes: 62500, RateEvery: 50 * time.Millisecond},
		"rate=1MB/s@20ms":                                                                {ID: 3, Bridge: "xenbr0", RateBytes: 20000, RateEvery: 20 * time.Millisecond},
		"rate=8b/s@1s":                                                                   {ID: 3, Bridge: "xenbr0", RateBytes: 1, RateEvery: time.Second},
		"rate=2GB/s@1000us":                                                              {ID: 3, Bridge: "xenbr0", RateBytes: 2000000, RateEvery: time.Millisecond},
	} {
		got, e := ParseVIF(spec, 3)
		if e != nil {
			t.Errorf("%q: %v", spec, e)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q:\n%s", spec, d)
		}
	}
	for _, spec := range []string{"bridge", "mtu=x", "rate=10", "rate=10Mb", "rate=xMb/s", "rate=1b/s", "rate=1Mb/s@", "rate=1Mb/s@-1s", "rate=1Mb/s@1h", "type=tap", "script=vif-route",
		"backend=net", "gatewaydev=eth0", "colour=red", "devid="} {
		if n, e := ParseVIF(spec, 0); e == nil {
			t.Errorf("%q is taken: %+v", spec, n)
		} else if e.What == "" || e.Fix == "" {
			t.Errorf("%q: %+v", spec, e)
		}
	}
}
