package symbol_test

import (
	"math/rand/v2"
	"testing"

	"gozen/ci/kernels"
	"gozen/trace/symbol"
	"gozen/trace/tracetest"
)

// TestKallsyms_stock finds the tables of Debian's kernels, laid out as they are linked.
func TestKallsyms_stock(t *testing.T) {
	for _, name := range kernels.Names() {
		t.Run(name, func(t *testing.T) {
			k := tracetest.Load(t, name)
			table, err := symbol.Kallsyms(k.Read, 0)
			if err != nil {
				t.Fatal(err)
			}
			lo, hi := table.Text()
			t.Logf("%d symbols, text %#x-%#x, build ID %x", table.Len(), lo, hi, table.BuildID())
			if table.Len() < 80_000 || lo != 0xffffffff81000000 || hi-lo < 10<<20 || len(table.BuildID()) != 20 {
				t.Error("that is not a whole kernel")
			}
			for _, n := range []string{"startup_64", "do_syscall_64", "schedule", "entry_SYSCALL_64", "asm_exc_page_fault", "memcpy", "start_kernel",
				"xen_evtchn_do_upcall", "finish_task_switch.isra.0"} {
				a, ok := table.Address(n)
				if s, ok2 := table.Lookup(a); !ok || !ok2 || s.Name != n || s.Addr != a {
					t.Errorf("%s: address %#x, %v; there is %+v", n, a, ok, s)
				}
			}
			for _, n := range []string{"linux_banner", "init_task", "_etext", "__start_orc_unwind_ip"} {
				a, ok := table.Address(n)
				if s, ok2 := table.Lookup(a); !ok || ok2 {
					t.Errorf("%s, no function: address %#x, %v; there is %+v", n, a, ok, s)
				}
			}
			random(t, table)
		})
	}
}

// random looks up addresses all over the text.
func random(t *testing.T, table *symbol.Table) {
	lo, hi := table.Text()
	r := rand.New(rand.NewPCG(1, 2))
	names := map[string]bool{}
	for range 100_000 {
		a := lo + r.Uint64N(hi-lo)
		s, ok := table.Lookup(a)
		if !ok || a < s.Addr || a-s.Addr >= s.Size || s.Name == "" {
			t.Fatalf("%#x: %+v, %v", a, s, ok)
		}
		names[s.Name] = true
	}
	if len(names) < 20_000 {
		t.Errorf("only %d names for 100,000 addresses", len(names))
	}
}

func BenchmarkKallsyms(b *testing.B) {
	k := tracetest.Load(b, "6.12")
	for b.Loop() {
		if _, err := symbol.Kallsyms(k.Read, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	k := tracetest.Load(b, "6.12")
	table, err := symbol.Kallsyms(k.Read, 0)
	if err != nil {
		b.Fatal(err)
	}
	lo, hi := table.Text()
	r := rand.New(rand.NewPCG(1, 2))
	var at [4096]uint64
	for i := range at {
		at[i] = lo + r.Uint64N(hi-lo)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := table.Lookup(at[i%len(at)]); !ok {
			b.Fatal("nothing there")
		}
	}
}
