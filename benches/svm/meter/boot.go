package main

import (
	"errors"
	"fmt"
	"time"

	"gozen/hypervisor/config"
)

// idling is how long a guest idles before the memory is taken once more.
const idling = 2 * time.Second

// boot measures one boot three times: once to fill the page cache, once for the time and the memory of the process, and once with each exit
// traced.
func boot(args []string) error {
	if len(args) < 3 {
		return errors.New("boot: NAME KERNEL INITRD [COMMAND...]")
	}
	name := args[0]
	start := func() (*guest, error) { return startGozen(name, args[1], args[2], config.TSCDefault) }
	if len(args) > 3 {
		start = func() (*guest, error) { return startOther(args[3:]) }
	}
	for _, f := range []func(string, *guest, time.Time) error{warm, timed} {
		began := time.Now()
		if err := with(name, start, func(g *guest) error { return f(name, g, began) }); err != nil {
			return err
		}
	}
	t := trace()
	err := with(name, start, func(g *guest) error {
		if err := g.greeted(); err != nil {
			return err
		}
		t.report(name)
		return nil
	})
	t.end()
	return err
}

// with starts a guest for f and ends it.
func with(name string, start func() (*guest, error), f func(*guest) error) error {
	g, err := start()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer g.stop()
	if err := f(g); err != nil {
		g.autopsy()
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func warm(_ string, g *guest, _ time.Time) error { return g.greeted() }

func timed(name string, g *guest, began time.Time) error {
	if err := g.greeted(); err != nil {
		return err
	}
	took := time.Since(began)
	exits, memory := counters()["exits"], beyond(g.pid)
	report(name+"/boot-ms", float64(took.Microseconds())/1000, nil)
	report(name+"/exits", float64(exits), nil)
	report(name+"/memory-mib", float64(memory)/1024, mappings(g.pid))
	time.Sleep(idling)
	report(name+"/memory-idle-mib", float64(beyond(g.pid))/1024, nil)
	return nil
}

// tracer counts KVM's events in the kernel.
type tracer struct{ exits, user, ports, msrs *hist }

func trace() *tracer {
	return &tracer{newHist("kvm_exit", "exit_reason"), newHist("kvm_userspace_exit", "reason,errno"), newHist("kvm_pio", "port"), newHist("kvm_msr", "ecx")}
}

func (t *tracer) end() {
	for _, h := range []*hist{t.exits, t.user, t.ports, t.msrs} {
		h.end()
	}
}

// report gives the exits by cause.
func (t *tracer) report(name string) {
	exits, user, ports, msrs := t.exits.read(), t.user.read(), t.ports.read(), t.msrs.read()
	causes, own := map[string]uint64{}, uint64(0)
	for k, n := range exits {
		cause := svmExit(k[0])
		causes[cause] += n
		if cause != causeCPUID && cause != causeHost {
			own += n
		}
	}
	report(name+"/own-exits", float64(own), causes)
	causes, all := map[string]uint64{}, uint64(0)
	for k, n := range user {
		causes[userExit(k[0], k[1])] += n
		all += n
	}
	report(name+"/user-exits", float64(all), causes)
	report(name+"/ports", total(ports), hex(ports))
	report(name+"/msrs", total(msrs), hex(msrs))
}

func total(m counts) (sum float64) {
	for _, n := range m {
		sum += float64(n)
	}
	return sum
}

func hex(m counts) map[string]uint64 {
	out := map[string]uint64{}
	for k, n := range m {
		out[fmt.Sprintf("%#x", k[0])] += n
	}
	return out
}
