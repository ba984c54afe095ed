package doctor

import (
	"errors"
	"os"
	"strings"
	"testing"

	"gozen/trace/bpf"
	"gozen/trace/sample"
)

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		release string
		want    bool
	}{{"5.7.19", true}, {"4.19.0-26-amd64", true}, {"5.8.0", false}, {"6.1.0", false}, {"nonsense", false}, {"", false}} {
		if got := older(c.release, 5, 8); got != c.want {
			t.Errorf("%q older than 5.8: %v", c.release, got)
		}
	}
	if c := kernelAge("5.4.0"); !strings.Contains(c.Detail, "CAP_SYS_ADMIN") {
		t.Errorf("%+v", c)
	}
}

func TestCapabilities(t *testing.T) {
	for _, c := range []struct {
		status string
		state  State
		words  string
	}{
		{"CapEff:\t0000000000000000\n", Refused, "lacks CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN"},
		{"CapEff:\t000001ffffffffff\n", OK, "has CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN"},
		{"CapEff:\t000000c000000000\n", OK, "has CAP_BPF, CAP_PERFMON, lacks CAP_SYS_ADMIN"},
		{"CapEff:\t0000008000000000\n", Refused, "has CAP_BPF, lacks CAP_PERFMON"},
		{"", Refused, "lacks"},
	} {
		if got := capabilities(c.status, 7); got.State != c.state || !strings.Contains(got.Detail, c.words) || (got.State == Refused) != (got.Fix != "") {
			t.Errorf("%q: %+v", c.status, got)
		}
	}
}

func TestJudge(t *testing.T) {
	own := sample.Counts{Runs: 399, Ports: 200, MMIO: 199, MSRs: 199}
	pvm, amd := bpf.Backend{Name: "kvm-pvm"}, bpf.Backend{Name: "kvm-amd", Hardware: true}
	for _, c := range []struct {
		probe string
		t     tried
		b     bpf.Backend
		want  State
		words string
	}{
		{bpf.ProbeExit, tried{own: own}, pvm, Silent, "never fires: kvm-pvm is a software KVM"},
		{bpf.ProbeExit, tried{own: own}, amd, Silent, "did not fire for 399 exits"},
		{bpf.ProbeExit, tried{own: own, seen: map[string]uint64{bpf.ProbeExit: 500}}, amd, OK, "500 times"},
		{bpf.ProbePort, tried{own: own, seen: map[string]uint64{bpf.ProbePort: 200}}, pvm, OK, "200 events, all of them"},
		{bpf.ProbePort, tried{own: own, seen: map[string]uint64{bpf.ProbePort: 199}}, pvm, Silent, "199 of 200"},
		{bpf.ProbePort, tried{own: own}, pvm, Silent, "did not fire"},
		{bpf.ProbeWakeup, tried{own: own}, amd, Untried, "gives no occasion"},
		{bpf.ProbePort, tried{err: os.ErrNotExist}, bpf.Backend{Name: "none"}, Untried, "no /dev/kvm"},
		{bpf.ProbePort, tried{err: errors.New("busy")}, amd, Untried, "no sample guest: busy"},
	} {
		k := Check{}
		if judge(&k, c.probe, c.t, c.b); k.State != c.want || !strings.Contains(k.Detail, c.words) {
			t.Errorf("%s: %+v, want %s with %q", c.probe, k, c.want, c.words)
		}
	}
}
