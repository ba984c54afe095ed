package doctor

import (
	"errors"
	"fmt"
	"os"
	"time"

	"gozen/trace/bpf"
	"gozen/trace/sample"
)

// samples is how many port exits the sample guest makes.
const samples = 200

// tracepoints tries all that perfctl trace uses.
func tracepoints(fs *bpf.Tracefs, b bpf.Backend) (out []Check) {
	probes := bpf.KVM()
	s, refused, err := bpf.Open(fs, probes)
	if err == nil {
		defer s.Close()
		refused = append(refused, s.Start()...)
	}
	why := map[string]error{}
	for _, r := range refused {
		why[r.Probe] = r.Err
	}
	var ran tried
	if err == nil {
		ran = run(s)
		s.Stop()
	}
	done := map[string]bool{}
	for i := range probes {
		p := &probes[i]
		for _, at := range p.Points() {
			if done[at.Tracepoint] {
				continue
			}
			done[at.Tracepoint] = true
			c := Check{Name: at.Tracepoint}
			if _, ferr := fs.Format(at.Tracepoint); ferr != nil {
				c.State, c.Detail = Missing, short(ferr)
			} else if err != nil {
				c.State, c.Detail = Refused, "present; eBPF: "+short(err)
			} else if e := why[p.Name]; e != nil {
				c.State, c.Detail = Refused, "present; "+short(e)
			} else {
				judge(&c, p.Name, ran, b)
			}
			out = append(out, c)
		}
	}
	return out
}

// tried is what came of the sample guest.
type tried struct {
	own  sample.Counts
	err  error // why it did not run
	seen map[string]uint64
}

func run(s *bpf.Session) (t tried) {
	t.seen = map[string]uint64{}
	t.own, t.err = sample.Run(samples, func(thread int) {
		_ = s.Follow(os.Getpid(), []int{thread})
		time.Sleep(2 * time.Millisecond) // the scheduler wakes it
	})
	s.Forget(os.Getpid(), nil)
	for _, p := range bpf.KVM() {
		rows, _ := s.Read(p.Name)
		for _, r := range rows {
			t.seen[p.Name] += r.Count
		}
	}
	return t
}

// judge says what the sample guest showed of a tracepoint that is attached.
func judge(c *Check, probe string, t tried, b bpf.Backend) {
	want, known := map[string]uint64{bpf.ProbeUserExit: t.own.Runs, bpf.ProbePort: t.own.Ports, bpf.ProbeRun: t.own.Runs, bpf.ProbeMSR: t.own.MSRs}[probe]
	n := t.seen[probe]
	hard := probe == bpf.ProbeExit || probe == bpf.ProbeEntry
	switch {
	case t.err != nil && n == 0:
		c.State, c.Detail = Untried, "attached; no sample guest: "+sampleError(t.err)
	case known && n == want:
		c.State, c.Detail = OK, fmt.Sprintf("attached, fires: a sample guest's %d events, all of them", n)
	case n > 0 && known:
		c.State, c.Detail = Silent, fmt.Sprintf("attached, but told %d of %d events of a sample guest", n, want)
	case n > 0:
		c.State, c.Detail = OK, fmt.Sprintf("attached, fires (%d times for a sample guest)", n)
	case hard && !b.Hardware:
		c.State, c.Detail = Silent, fmt.Sprintf("attached, never fires: %s is a software KVM (a sample guest came to user space %d times)", b.Name, t.own.Runs)
	case known || hard:
		c.State, c.Detail = Silent, fmt.Sprintf("attached, did not fire for %d exits of a sample guest", t.own.Runs)
	default:
		c.State, c.Detail = Untried, "attached; the sample guest gives no occasion"
	}
}

func sampleError(err error) string {
	if errors.Is(err, os.ErrNotExist) {
		return "no /dev/kvm"
	}
	return err.Error()
}
