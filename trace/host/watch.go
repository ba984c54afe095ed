package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/control"
	"gozen/trace/bpf"
)

const (
	pollEvery  = 500 * time.Millisecond // how often it is looked who has come and gone
	answerTime = 3 * time.Second        // how long a domain's process may take to answer
)

// ErrNone is wrapped by Watch's error where there is no domain to watch.
var ErrNone = errors.New("no domain runs here; see xl list")

// Options says what to watch.
type Options struct {
	// Names are domains, by name or id; none: all there are, and those that come.
	Names []string
	Time  time.Duration
	// Began is called when events count; nil: nobody.
	Began func()
}

// Watch watches domains for a time, until ctx ends, or until all that were named are gone.
func Watch(ctx context.Context, reg *control.Registry, o Options) (*Result, error) {
	w := &watch{reg: reg, names: o.Names, threads: map[int]Where{}, live: map[int]*Domain{}, spreads: map[Time]*bpf.Hist{}, taken: map[string]bpf.Row{}, seen: map[string]uint64{}, res: &Result{Backend: bpf.ThisBackend(), Kernel: release()}}
	first, err := w.choose()
	if err != nil {
		return nil, err
	}
	if !bpf.InitialPIDs() {
		return nil, errors.New("process numbers here are not those of the host's kernel (this is a container with a PID namespace): run perfctl outside, or with the host's (--pid=host)")
	}
	fs, err := bpf.OpenTracefs()
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	w.words = readWords(fs)
	s, refused, err := bpf.Open(fs, bpf.KVM())
	if err != nil {
		return nil, fmt.Errorf("eBPF: %w", err)
	}
	defer s.Close()
	w.s = s
	// To attach and to detach takes a while for each tracepoint: that somebody is followed is what begins and ends all figures at once.
	refused = append(refused, s.Start()...)
	if err := w.follow(ctx, first); err != nil {
		return nil, err
	}
	w.began = time.Now()
	if o.Began != nil {
		o.Began()
	}
	w.wait(ctx, o.Time)
	for _, d := range w.live {
		s.Forget(d.PID, d.Threads)
	}
	w.res.Seconds = time.Since(w.began).Seconds()
	s.Stop()
	return w.res, w.read(refused)
}

// watch is one Watch under way.
type watch struct {
	reg     *control.Registry
	names   []string
	s       *bpf.Session
	words   *words
	res     *Result
	began   time.Time
	threads map[int]Where // all that were ever followed
	live    map[int]*Domain
	spreads map[Time]*bpf.Hist // by what they are of
	taken   map[string]bpf.Row // what has been taken already, by probe, thread and keys
	seen    map[string]uint64  // events by probe
}

func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// choose gives the domains that are to be watched and run now.
func (w *watch) choose() ([]control.Found, error) {
	if len(w.names) == 0 {
		all, err := w.reg.List()
		if err == nil && len(all) == 0 {
			err = ErrNone
		}
		return all, err
	}
	var out []control.Found
	for _, n := range w.names {
		f, err := w.reg.Find(n)
		if errors.Is(err, control.ErrNotFound) {
			return nil, fmt.Errorf("no domain %q runs here; see xl list", n)
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o control.Found) bool { return o.Domid == f.Domid }) {
			out = append(out, f)
		}
	}
	return out, nil
}

// follow makes the events of domains count. One that goes away at this moment is left out.
func (w *watch) follow(ctx context.Context, all []control.Found) error {
	for _, f := range all {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		c := control.NewClient(f.Dir)
		in, err := c.Info(ctx)
		c.Close()
		cancel()
		if err != nil {
			continue
		}
		d := w.live[f.PID]
		if d != nil && d.Domid != in.Domid { // the process has restarted its domain
			w.gone(d)
			d = nil
		}
		if d == nil {
			d = &Domain{Domid: in.Domid, Name: in.Name, PID: f.PID, Engine: in.Engine}
			if !w.began.IsZero() {
				d.Since = time.Since(w.began).Seconds()
			}
			w.live[f.PID] = d
		}
		if err := w.learn(d, in.VCPUs); err != nil {
			return err
		}
	}
	if len(w.live) == 0 && w.began.IsZero() {
		return ErrNone
	}
	return nil
}

// learn takes the threads of a domain's vCPUs, which may be new ones.
func (w *watch) learn(d *Domain, vcpus []control.VCPUInfo) error {
	threads := make([]int, len(vcpus))
	var fresh []int
	for i, v := range vcpus {
		threads[i] = v.Thread
		if v.Thread == 0 {
			continue
		}
		if _, known := w.threads[v.Thread]; !known {
			fresh = append(fresh, v.Thread)
		}
		w.threads[v.Thread] = Where{Domid: d.Domid, VCPU: v.ID, Thread: v.Thread}
	}
	if slices.Max(append(threads, 0)) > 0 || d.Threads == nil {
		d.Threads = threads
	}
	return w.s.Follow(d.PID, fresh)
}

// wait lets the time pass.
func (w *watch) wait(ctx context.Context, took time.Duration) {
	until, cancel := context.WithTimeout(ctx, took)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-until.Done():
			w.res.Interrupted = ctx.Err() != nil
			return
		case <-tick.C:
			if !w.look(until) {
				return
			}
		}
	}
}

// look takes in who has come, and lets go who has gone. false: all that were named are gone.
func (w *watch) look(ctx context.Context) bool {
	all, err := w.reg.List()
	if err != nil {
		return true
	}
	here := map[int]bool{}
	var known []control.Found
	for _, f := range all {
		here[f.PID] = true
		if w.live[f.PID] != nil || len(w.names) == 0 || slices.Contains(w.names, f.Name) || slices.Contains(w.names, strconv.Itoa(f.Domid)) {
			known = append(known, f)
		}
	}
	for pid, d := range w.live {
		if !here[pid] {
			w.gone(d)
		}
	}
	_ = w.follow(ctx, known)
	return len(w.live) > 0 || len(w.names) == 0
}

// gone lets go a domain whose process has ended.
func (w *watch) gone(d *Domain) {
	w.s.Forget(d.PID, d.Threads)
	// Its threads may come to serve another vCPU: what there is of them is this domain's. What cannot be read now is read at the end.
	_ = w.take(func(thread int) bool { at, ok := w.threads[thread]; return ok && at.Domid == d.Domid })
	d.Until = time.Since(w.began).Seconds()
	w.res.Domains = append(w.res.Domains, *d)
	delete(w.live, d.PID)
}

// read takes the figures.
func (w *watch) read(refused []bpf.Refused) error {
	for _, d := range w.live {
		w.res.Domains = append(w.res.Domains, *d)
	}
	slices.SortFunc(w.res.Domains, func(a, b Domain) int { return cmp.Or(cmp.Compare(a.Domid, b.Domid), cmp.Compare(a.Since, b.Since)) })
	if err := w.take(func(int) bool { return true }); err != nil {
		return err
	}
	for _, p := range bpf.KVM() {
		if l := w.s.Lost(p.Name); l != (bpf.Lost{}) {
			if w.res.Lost == nil {
				w.res.Lost = map[string]bpf.Lost{}
			}
			w.res.Lost[p.Name] = l
		}
	}
	w.order()
	w.res.Silent = w.silent(w.seen, refused)
	return nil
}

// take books the figures of threads that have not been taken yet.
func (w *watch) take(of func(thread int) bool) error {
	for _, p := range bpf.KVM() {
		rows, err := w.s.Read(p.Name)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if !of(r.Thread) {
				continue
			}
			id := fmt.Sprint(p.Name, r.Thread, r.Keys)
			if d := r.Since(w.taken[id]); d.Count > 0 {
				w.seen[p.Name] += d.Count
				w.add(p.Name, d)
			}
			w.taken[id] = r
		}
	}
	return nil
}

func (w *watch) add(probe string, r bpf.Row) {
	at, ok := w.threads[r.Thread]
	if !ok {
		at = Where{Domid: w.owner(r.Thread), VCPU: -1, Thread: r.Thread}
	}
	what := w.words.what(probe, r.Keys)
	if r.Hist == nil {
		w.count(Count{Probe: probe, Where: at, What: what, Count: r.Count})
		return
	}
	w.spread(probe, at, what).Merge(r.Hist)
	if probe == bpf.ProbeRun {
		w.spread(probe, at, All).Merge(r.Hist)
	}
}

// spread gives the distribution of what has the same words: runs that a signal ended have the reason of whatever exit came before.
func (w *watch) spread(probe string, at Where, what string) *bpf.Hist {
	t := Time{Probe: probe, Where: at, What: what}
	h := w.spreads[t]
	if h == nil {
		h = &bpf.Hist{}
		w.spreads[t] = h
	}
	return h
}

func (w *watch) count(c Count) {
	for i := range w.res.Counts {
		if o := &w.res.Counts[i]; o.Probe == c.Probe && o.Where == c.Where && o.What == c.What {
			o.Count += c.Count
			return
		}
	}
	w.res.Counts = append(w.res.Counts, c)
}

// owner gives the domain of a thread that is no vCPU's, 0 if that cannot be told any more.
func (w *watch) owner(thread int) int {
	for _, d := range w.res.Domains {
		var st unix.Stat_t
		if len(w.res.Domains) == 1 || unix.Stat(fmt.Sprintf("/proc/%d/task/%d", d.PID, thread), &st) == nil {
			return d.Domid
		}
	}
	return 0
}

// order sorts figures: by vCPU, the most frequent first.
func (w *watch) order() {
	for t, h := range w.spreads {
		t.fill(h)
		w.res.Times = append(w.res.Times, t)
	}
	slices.SortFunc(w.res.Counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Domid, b.Domid), cmp.Compare(a.VCPU, b.VCPU), cmp.Compare(b.Count, a.Count), cmp.Compare(a.What, b.What))
	})
	slices.SortFunc(w.res.Times, func(a, b Time) int {
		return cmp.Or(cmp.Compare(a.Domid, b.Domid), cmp.Compare(a.VCPU, b.VCPU), cmp.Compare(b.Count, a.Count), cmp.Compare(a.What, b.What))
	})
}

// silent says why probes have no figures.
func (w *watch) silent(seen map[string]uint64, refused []bpf.Refused) (out []Silence) {
	kvm := slices.ContainsFunc(w.res.Domains, func(d Domain) bool { return strings.HasPrefix(d.Engine, "kvm") })
	for _, p := range bpf.KVM() {
		if i := slices.IndexFunc(refused, func(r bpf.Refused) bool { return r.Probe == p.Name }); i >= 0 {
			out = append(out, Silence{p.Name, refused[i].Err.Error(), true})
			continue
		}
		if seen[p.Name] > 0 {
			continue
		}
		q := Silence{Probe: p.Name, Why: "it did not happen"}
		hard := p.Name == bpf.ProbeExit || p.Name == bpf.ProbeEntry
		switch {
		case !kvm && p.Name != bpf.ProbeDelay:
			q.Why, q.Never = "no domain that was watched runs on KVM", true
		case p.Name == bpf.ProbeDelay && len(w.threads) == 0:
			q.Why, q.Never = "no domain that was watched tells the threads of its vCPUs", true
		case hard && !w.res.Backend.Hardware:
			q.Why, q.Never = fmt.Sprintf("%s is a software KVM, no processor's virtualization: its vCPUs make no such exits", w.res.Backend.Name), true
			if n := seen[bpf.ProbeUserExit]; n > 0 {
				q.Why += fmt.Sprintf(" (while they came to user space %d times)", n)
			}
		}
		out = append(out, q)
	}
	return out
}
