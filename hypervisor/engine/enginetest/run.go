package enginetest

import (
	"fmt"
	"runtime"
	"sort"
	"strings"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
)

// Open makes a VM on the engine under test. The VM's vCPUs number at most vcpus. It is closed by the suite.
type Open func(t testing.TB, mem *guestmem.Memory, vcpus int) engine.VM

// Options says what an engine does in its own way.
type Options struct {
	// Except names cases that fail on this engine or host, with the reason.
	Except map[string]string
	// Sometimes names cases that fail on some runs only, by the host's timing, with the reason.
	Sometimes map[string]string
	// Hypercall is the instruction that exits with ExitHypercall, such as 0f 01 d9; nil where there is none.
	Hypercall []byte
	// CPUID: the instruction exits.
	CPUID bool
	// No1GPages: the processor shown to the guest has no pages of 1 GiB.
	No1GPages bool
	// IdleTSS: the host wants the TSS of a vCPU outside IA-32e mode marked as not busy. (QEMU 7.2 ends with "invalid tss type" otherwise.)
	IdleTSS bool
}

// C is one run of a case: it collects failures, so that an exception can be told from a success.
type C struct {
	testing.TB
	open    Open
	opts    *Options
	errs    []string
	skip    string
	cleanup []func()
}

// abort is the panic that ends a case early.
type abort struct{}

// maxErrors bounds what one case says.
const maxErrors = 8

// Errorf notes a failure.
func (c *C) Errorf(format string, args ...any) {
	if len(c.errs) < maxErrors {
		c.errs = append(c.errs, fmt.Sprintf(format, args...))
	}
}

// Fatalf notes a failure and ends the case.
func (c *C) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	panic(abort{})
}

// Skipf ends a case that makes no sense for the engine.
func (c *C) Skipf(format string, args ...any) {
	c.skip = fmt.Sprintf(format, args...)
	panic(abort{})
}

// Cleanup is called in reverse order at the end of the case.
func (c *C) Cleanup(f func()) { c.cleanup = append(c.cleanup, f) }

func (c *C) ok(err error) {
	if err != nil {
		c.Fatalf("%v", err)
	}
}

// do runs f on a thread of its own, as vCPUs want it.
func (c *C) do(f func(*C)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() {
		for i := len(c.cleanup) - 1; i >= 0; i-- {
			c.cleanup[i]()
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			if _, ours := p.(abort); !ours {
				panic(p)
			}
		}
	}()
	f(c)
}

// Run runs the suite.
func Run(t *testing.T, open Open, o Options) {
	var excepted, skipped []string
	known := map[string]bool{}
	for _, cs := range cases() {
		if known[cs.name] {
			t.Errorf("two cases are named %s", cs.name)
		}
		known[cs.name] = true
		t.Run(cs.name, func(t *testing.T) {
			c := &C{TB: t, open: open, opts: &o}
			c.do(cs.run)
			why, isExcepted := o.Except[cs.name]
			now, isTiming := o.Sometimes[cs.name]
			switch {
			case c.skip == "" && isTiming && len(c.errs) > 0:
				excepted = append(excepted, cs.name)
				t.Logf("exception on this run (%s): %s", now, strings.Join(c.errs, "; "))
			case c.skip != "":
				skipped = append(skipped, cs.name)
				t.Skip(c.skip)
			case isExcepted && len(c.errs) > 0:
				excepted = append(excepted, cs.name)
				t.Logf("exception (%s): %s", why, strings.Join(c.errs, "; "))
			case isExcepted:
				t.Errorf("it passes, though an exception says that it cannot (%s): take it off the list", why)
			default:
				for _, e := range c.errs {
					t.Error(e)
				}
			}
		})
	}
	for _, list := range []map[string]string{o.Except, o.Sometimes} {
		for name := range list {
			if !known[name] {
				t.Errorf("an exception names case %s, which does not exist", name)
			}
		}
	}
	sort.Strings(excepted)
	t.Logf("%d cases; %d exceptions: %v; %d skipped: %v", len(known), len(excepted), excepted, len(skipped), skipped)
}
