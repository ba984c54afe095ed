package pvh

import (
	"reflect"
	"strings"
	"testing"

	"gozen/hypervisor/image"
)

func TestChoose(t *testing.T) {
	page := image.Notes{{Type: image.NoteHypercallPage}}
	tests := []struct {
		name string
		host HostFacts
		note image.Notes
		want Paths
		why  []string // a part of each reason
	}{
		{"bare KVM, kernel with a page", HostFacts{}, page, Paths{Hypercalls: "page", APIC: "ours", Events: fifoIfAsked, Upcall: "gozen", Timer: "gozen"},
			[]string{"has a hypercall page", "they are ours"}},
		{"bare KVM, kernel without", HostFacts{}, nil, Paths{Hypercalls: "patch", APIC: "ours", Events: fifoIfAsked, Upcall: "gozen", Timer: "gozen"},
			[]string{"two hypercall functions", "they are ours"}},
		{"local APICs", HostFacts{Chip: true}, page, Paths{Hypercalls: "page", APIC: "host", Events: fifoIfAsked, Upcall: "host", Timer: "gozen"},
			[]string{"has a hypercall page", "no Xen events"}},
		{"interception alone", HostFacts{Chip: true, Intercept: true}, nil, Paths{Hypercalls: "intercept", APIC: "host", Events: fifoIfAsked, Upcall: "host", Timer: "gozen"},
			[]string{"hands VMCALL and VMMCALL over", "no Xen events"}},
		{"all of Xen", HostFacts{Chip: true, Intercept: true, Deliver: true}, nil, Paths{Hypercalls: "intercept", APIC: "host with Xen events", Events: "2-level", Upcall: "host", Timer: "host"},
			[]string{"hands VMCALL and VMMCALL over", "delivers 2-level events"}},
		{"delivery without interception", HostFacts{Chip: true, Deliver: true}, page, Paths{Hypercalls: "page", APIC: "host", Events: fifoIfAsked, Upcall: "host", Timer: "gozen"},
			[]string{"has a hypercall page", "no Xen events"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Choose(tt.host, tt.note)
			checkWhy(t, got.Why, tt.why)
			got.Why = nil
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func checkWhy(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d reasons: %q", len(got), got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("reason %d is %q, want something of %q", i, got[i], want[i])
		}
	}
}

func TestNoThunks(t *testing.T) {
	p := Choose(HostFacts{}, nil)
	p.NoThunks()
	if p.Hypercalls != HypercallPage {
		t.Error(p.Hypercalls)
	}
	checkWhy(t, p.Why, []string{"must set up a hypercall page", "they are ours"})
}

func TestPaths_otherEngines(t *testing.T) {
	for _, p := range []Paths{SoftPaths(), A64Paths()} {
		if p.Hypercalls != HypercallExit || p.APIC == "" || p.Events != fifoIfAsked || p.Upcall == "" || p.Timer == "" || len(p.Why) == 0 {
			t.Errorf("%+v", p)
		}
	}
}
