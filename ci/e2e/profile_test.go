package e2e

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/pprof/profile"

	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
)

// profileOf takes a profile of a domain by perfctl.
func (h *host) profileOf(name string, args ...string) *profile.Profile {
	h.t.Helper()
	h.run("perfctl", append([]string{"profile", name, "-o", h.dir + "/profile"}, args...)...)
	b, err := os.ReadFile(h.dir + "/profile")
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := profile.Parse(bytes.NewReader(b))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := p.CheckValid(); err != nil {
		h.t.Error(err)
	}
	return p
}

// TestProfile_split finds how a guest divides its time between two loops, one three times as long as the other.
func TestProfile_split(t *testing.T) {
	for _, engine := range []string{"soft", "kvm"} {
		t.Run(engine, func(t *testing.T) {
			if engine == "kvm" {
				needKVM(t)
			}
			h := newHost(t)
			var long uint64
			img, err := tiny.Image(func(a *asm.Asm) {
				a.Label("short")
				a.MovI(asm.RCX, 100)
				a.Label("a")
				a.Dec(4, asm.RCX)
				a.Jcc(asm.NE, "a")
				a.Label("longer")
				long = a.Addr("longer")
				a.MovI(asm.RCX, 300)
				a.Label("b")
				a.Dec(4, asm.RCX)
				a.Jcc(asm.NE, "b")
				a.Jmp("short")
			})
			if err != nil {
				t.Fatal(err)
			}
			h.run("xl", "create", "-q", h.config("split", "kernel = \""+h.write("split.elf", img)+"\"\nmemory = 16\n"), "engine=\""+engine+"\"")
			p := h.profileOf("split", "--seconds", "5", "--rate", "997")
			var parts [2]int64
			for _, s := range p.Sample {
				if l := s.Label["domain"]; len(l) != 1 || l[0] != "split" {
					t.Fatalf("labels %v", s.Label)
				}
				at := 0
				if s.Location[0].Address >= long {
					at = 1
				}
				parts[at] += s.Value[0]
			}
			all := parts[0] + parts[1]
			if share := 100 * float64(parts[1]) / float64(max(all, 1)); all < 500 || share < 72 || share > 78 {
				t.Errorf("%d samples, %.1f %% of them in the long loop, want 75", all, share)
			}
			t.Logf("%d and %d samples", parts[0], parts[1])
		})
	}
}
