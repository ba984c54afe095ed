//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/engine/soft/fuzz"
)

// hangTime is how long a worker may say nothing.
const hangTime = 30 * time.Second

// child is a running worker.
type child struct {
	cmd  *exec.Cmd
	page []byte // says which case it is at
	id   uint64
	seen time.Time
	hung bool
}

// event is a message of a child, or its end.
type event struct {
	c   *child
	m   *message
	err error
}

// campaign is the state of the parent.
type campaign struct {
	o        *options
	forms    []fuzz.Form
	counts   []uint64
	steps    uint64
	cases    uint64
	skipped  map[string]uint64
	findings int
	events   chan event
	children map[*child]bool
	start    time.Time
}

func run(o *options) error {
	if o.worker != "" {
		return worker(o.worker)
	}
	if o.one >= 0 {
		return showCase(o)
	}
	p := &campaign{o: o, skipped: map[string]uint64{}, events: make(chan event), children: map[*child]bool{}, start: time.Now()}
	p.forms, _ = fuzz.Forms()
	p.counts = make([]uint64, len(p.forms))
	fmt.Printf("fuzzcpu: seed %d, %d workers, %d forms\n", o.seed, o.workers, len(p.forms))
	for i := range o.workers {
		if err := p.spawn(uint64(i), uint64(i)); err != nil {
			return err
		}
	}
	err := p.collect()
	for c := range p.children {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
	if err != nil {
		return err
	}
	return p.report()
}

// spawn starts worker id at case first.
func (p *campaign) spawn(id, first uint64) error {
	fd, err := unix.MemfdCreate("progress", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "progress")
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		return err
	}
	page, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "-worker", fmt.Sprintf("%d,%d,%d", p.o.seed, first, p.o.workers))
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1", "GOTRACEBACK=system")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c := &child{cmd: cmd, page: page, id: id, seen: time.Now()}
	p.children[c] = true
	go func() {
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<22)
		for s.Scan() {
			m := new(message)
			if err := json.Unmarshal(s.Bytes(), m); err != nil {
				break
			}
			p.events <- event{c: c, m: m}
		}
		p.events <- event{c: c, err: cmd.Wait()}
	}()
	return nil
}

// collect takes messages until the target, the time or the limit of differences is reached.
func (p *campaign) collect() error {
	deadline := p.start.Add(time.Duration(p.o.seconds) * time.Second)
	every := 10 * time.Second
	if st, err := os.Stdout.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		every = time.Second
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	shown := time.Now()
	for p.steps < p.o.n || p.scarce() {
		select {
		case e := <-p.events:
			if err := p.take(&e); err != nil {
				return err
			}
		case <-tick.C:
			if time.Since(shown) >= every {
				p.progress()
				shown = time.Now()
			}
			for c := range p.children {
				if time.Since(c.seen) > hangTime {
					c.hung = true
					_ = c.cmd.Process.Kill()
				}
			}
		}
		if time.Now().After(deadline) || p.findings >= p.o.limit {
			break
		}
	}
	return nil
}

// scarce reports whether a form has had too few executions.
func (p *campaign) scarce() bool {
	for _, n := range p.counts {
		if n < p.o.least {
			return true
		}
	}
	return false
}

func (p *campaign) progress() {
	t := time.Since(p.start).Seconds()
	fmt.Printf("%4.0f s  %6.2f million instructions, %4.0f thousand a second, %d cases, %d differences\n",
		t, float64(p.steps)/1e6, float64(p.steps)/1e3/t, p.cases, p.findings)
}

// take accounts for a message, or starts the next worker after one that died.
func (p *campaign) take(e *event) error {
	c := e.c
	c.seen = time.Now()
	if e.m == nil {
		delete(p.children, c)
		at := binary.LittleEndian.Uint64(c.page)
		what := fmt.Sprintf("worker died: %v", e.err)
		if c.hung {
			what = "worker hung"
		}
		if at == 0 && p.steps == 0 {
			return fmt.Errorf("a worker cannot start: %v", e.err)
		}
		if err := p.found(&finding{Case: at, Text: what}); err != nil {
			return err
		}
		return p.spawn(c.id, at+uint64(p.o.workers))
	}
	p.steps += e.m.Steps
	p.cases += e.m.Cases
	for i, n := range e.m.Counts {
		p.counts[i] += uint64(n)
	}
	for k, n := range e.m.Skipped {
		p.skipped[k] += n
	}
	if e.m.Finding != nil {
		return p.found(e.m.Finding)
	}
	return nil
}

// found prints a difference and keeps it.
func (p *campaign) found(f *finding) error {
	p.findings++
	text := fmt.Sprintf("DIFFERENCE %d: seed %d case %d state %d\n%s\n", p.findings, p.o.seed, f.Case, f.State, f.Text)
	fmt.Print(text)
	if err := os.MkdirAll(p.o.findings, 0o755); err != nil {
		return err
	}
	name := filepath.Join(p.o.findings, fmt.Sprintf("%d-%d.txt", p.o.seed, f.Case))
	return os.WriteFile(name, []byte(text), 0o644)
}

// showCase runs one case in this process.
func showCase(o *options) error {
	r, err := fuzz.NewRunner(o.seed)
	if err != nil {
		return err
	}
	c := r.Gen.Case(uint64(o.one))
	r.Place(c)
	for i := range c.States {
		var out fuzz.Outcome
		if err := r.Run(c, &c.States[i], &out); err != nil {
			return err
		}
		fmt.Printf("state %d, %d instructions %s\n%s\n", i, out.Steps, out.Skipped, fuzz.Describe(c, &c.States[i], &out))
	}
	return nil
}
