package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gozen/benches/guest/gauge"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/perfctl/result"
)

// helloPattern is the first line of a benchmark guest.
var helloPattern = regexp.MustCompile("gauge: hello")

// guestMemory is that of a benchmark guest, in MiB.
const guestMemory = 64

// guestRun is what one benchmark guest has told, and what it cost.
type guestRun struct {
	run   *Run
	lines []result.Line
	facts map[string]string
	marks map[string][]mark // by workload
}

// mark is what had happened when a guest waited for its counters to be read.
type mark struct {
	line  result.Line
	tally map[string]float64
}

// guestError says why a guest did not report.
type guestError struct {
	Mode  string
	Err   error
	Words []string // the last of what it said
}

func (e *guestError) Error() string {
	s := "mode " + e.Mode + ": " + e.Err.Error()
	if len(e.Words) > 0 {
		s += "; its last words: " + strings.Join(e.Words, " | ")
	} else {
		s += "; it said nothing"
	}
	return s
}

func (e *guestError) Unwrap() error { return e.Err }

// guest boots a benchmark guest and collects its lines.
func (s *Suite) guest(ctx context.Context, spec gauge.Spec, vcpus int) (*guestRun, error) {
	image, err := gauge.Image(spec)
	if err != nil {
		return nil, fmt.Errorf("mode %s: %w", spec.Mode, err)
	}
	path := filepath.Join(s.dir, "image")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		return nil, err
	}
	return s.boot(ctx, spec.Mode, config.Domain{Type: config.Type(spec.Mode), MemoryMiB: guestMemory, VCPUs: vcpus, Kernel: path}, nil)
}

// boot boots a guest that reports, to its end. within is Options.Within.
func (s *Suite) boot(ctx context.Context, mode string, d config.Domain, within func(func())) (*guestRun, error) {
	s.made++
	d.Engine, d.Deterministic = s.Engine, s.Deterministic
	d.Complete()
	g := &guestRun{facts: map[string]string{}, marks: map[string][]mark{}}
	listen := &listener{g: g}
	o := s.Options
	o.Init, o.ToEnd, o.Console, o.Counts, o.Within = helloPattern, true, listen, listen, within
	var err error
	g.run, err = Boot(ctx, d, fmt.Sprintf("perfctl-%d-%d", os.Getpid(), s.made), o)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && listen.n == 0 && !errors.Is(err, ErrNoInit) && !errors.Is(err, ErrTimeout):
		return nil, &modeError{mode, err}
	case err == nil && listen.err != nil:
		err = listen.err
	case err == nil && !listen.end:
		err = fmt.Errorf("the guest ended without its last line")
		if e := g.run.End; e != nil && e.Code != control.ReasonPoweroff {
			err = fmt.Errorf("the guest ended with %s: %s", e.Code, oneLine(e.Text))
		}
	}
	if err != nil {
		return nil, &guestError{mode, err, listen.last}
	}
	return g, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// modeError says that a mode cannot run here at all. It does not wrap what it says: that is about one domain, and this about all of the mode.
type modeError struct {
	Mode string
	Err  error
}

func (e *modeError) Error() string {
	return "mode " + e.Mode + " cannot run here: " + oneLine(e.Err.Error())
}

// lastWords is how many lines are kept of what a guest said.
const lastWords = 3

// listener takes a guest's console apart into lines.
type listener struct {
	g    *guestRun
	part []byte
	n    int // bytes seen
	last []string
	wait *result.Line // a mark whose counters are not read yet
	end  bool
	err  error
}

// Waits implements Counts.
func (l *listener) Waits() bool { return l.wait != nil }

// Take implements Counts.
func (l *listener) Take(r *Run) {
	l.g.marks[l.wait.Name] = append(l.g.marks[l.wait.Name], mark{*l.wait, tally(r)})
	l.wait = nil
}

// Write implements io.Writer.
func (l *listener) Write(b []byte) (int, error) {
	l.n += len(b)
	l.part = append(l.part, b...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 && len(l.part) < 4096 {
			return len(b), nil
		}
		if i < 0 {
			i = len(l.part) - 1
		}
		l.line(string(l.part[:i]))
		l.part = l.part[i+1:]
	}
}

func (l *listener) line(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	l.last = append(l.last, s)
	l.last = l.last[max(0, len(l.last)-lastWords):]
	line, ok, err := result.ParseLine(s)
	switch {
	case !ok:
	case err != nil:
		l.err = errors.Join(l.err, err)
	case line.Kind == result.Fact:
		l.g.facts[line.Name] = line.Text
	case line.Kind == result.End:
		l.end = true
	case line.Kind == result.Mark:
		l.wait = &line
	default:
		l.g.lines = append(l.g.lines, line)
	}
}
