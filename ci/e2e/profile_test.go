package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strings"
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

// namedShare gives how many samples of the kernel there are, and how many of them belong to a function that is known.
func namedShare(p *profile.Profile) (all, named int64) {
	for _, s := range p.Sample {
		for _, l := range s.Location {
			if l.Address < 1<<63 {
				continue
			}
			all += s.Value[0]
			if n := l.Line[0].Function.Name; n != "" && !strings.HasPrefix(n, "guest+") {
				named += s.Value[0]
			}
			break // the innermost one
		}
	}
	return all, named
}

// TestProfile_debian profiles boots of stock Debian kernels, which have no symbols but those in their memory.
func TestProfile_debian(t *testing.T) {
	for _, tt := range []struct{ typ, kernel string }{{"pvh", "6.1-cloud"}, {"pvh", "6.12-cloud"}, {"pv", "6.1-cloud"}, {"hvm", "6.1-cloud"}} {
		t.Run(tt.typ+"/"+tt.kernel, func(t *testing.T) {
			h := newHost(t)
			cfg := h.debian("boot", tt.kernel, "#!/bin/sh\nmount -t proc proc /proc\nwhile :; do cat /proc/interrupts > /dev/null; done\n", fmt.Sprintf("type = %q\n", tt.typ))
			h.run("xl", "create", "-q", cfg)
			p := h.profileOf("boot", "--seconds", "6")
			all, named := namedShare(p)
			t.Logf("%d samples of the kernel, %d named", all, named)
			if all < 100 || float64(named) < 0.95*float64(all) {
				t.Errorf("%d of %d samples of the kernel have a function", named, all)
			}
			if m := p.Mapping[0]; len(m.BuildID) != 40 || !strings.HasSuffix(m.File, "vmlinux") {
				t.Errorf("the kernel's mapping is %+v", m)
			}
			e := h.profileOf("boot", "--seconds", "2", "--kind", "exit")
			if all, named := namedShare(e); all < 10 || float64(named) < 0.95*float64(all) {
				t.Errorf("%d of %d exits of the kernel have a function", named, all)
			}
			causes := map[string]bool{}
			for _, s := range e.Sample {
				causes[strings.SplitN(s.Location[0].Line[0].Function.Name, ":", 2)[0]] = true
			}
			if want := map[string]string{"pv": "exit", "pvh": "hypercall", "hvm": "exit"}[tt.typ]; !causes[want] {
				t.Errorf("no %s among the causes of exits: %v", want, causes)
			}
		})
	}
}
