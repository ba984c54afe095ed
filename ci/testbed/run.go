package testbed

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gozen/ci/kernels"
)

// Errors of Run that a caller may tell apart.
var (
	ErrJob   = errors.New("a job failed")               // a script ended with a status other than 0
	ErrPanic = errors.New("the emulated host panicked") // its kernel gave up
	ErrDied  = errors.New("the emulator ended before the jobs had")
	// ErrStalled: an emulated host with SVM fell silent. See bind for what QEMU 7.2 does to interrupts. The caller may run it again.
	ErrStalled = errors.New("nothing was heard of the emulated host")
	errSilent  = errors.New("the host kernel does not begin to boot")
)

const (
	silence = 150 * time.Second // how long a host with SVM may say nothing
	begins  = 5 * time.Minute   // how long any host may say nothing at first: Bochs shows what is wrong to its display, and waits for an answer
)

// Run boots an emulated host, runs the jobs there and brings back what came of them. It gets what the testbed needs first, as Prepare does. The console
// and all else goes to log as it comes. Every error names the file with the whole log, if there is one yet.
func Run(ctx context.Context, spec Spec, log io.Writer) (Result, error) {
	s, err := spec.fill()
	if err != nil {
		return Result{}, err
	}
	if err := Prepare(ctx, log, s.Kind, s.HostKernel); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("not done within %v", s.Timeout))
	defer cancel()
	r, err := newRun(s, log)
	if err != nil {
		return Result{}, err
	}
	defer r.close()
	err = r.do(ctx)
	if err == nil {
		err = r.verdict()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w (log: %s)", s.describe(), err, r.result.Log)
	}
	return r.result, err
}

// run is one boot.
type run struct {
	spec    Spec
	nonce   string
	dir     string
	log     io.Writer // the caller's
	file    *os.File  // the whole log
	result  Result
	stream  *stream
	console bytes.Buffer
	lines   [2]*lines // of console and jobs
	follow  [2]follower
	start   time.Time
}

func newRun(s Spec, log io.Writer) (*run, error) {
	top, err := cache()
	if err != nil {
		return nil, err
	}
	prune(top)
	dir, err := os.MkdirTemp(top, fmt.Sprintf("%s-%s-%s-", s.Kind, s.HostKernel, time.Now().UTC().Format("20060102-150405")))
	if err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	r := &run{spec: s, nonce: rand.Text(), dir: dir, log: log, file: file}
	r.listen()
	return r, nil
}

// listen sets up where what comes from the emulated host goes.
func (r *run) listen() {
	r.result.Dir, r.result.Log = r.dir, r.file.Name()
	both := io.MultiWriter(r.file, r.log)
	r.lines = [2]*lines{{to: both}, {to: both}}
	output := io.Writer(r.lines[1])
	if r.spec.Output != nil {
		r.lines[1].to = r.file
		output = io.MultiWriter(r.lines[1], r.spec.Output)
	}
	r.stream = newStream(r.nonce, output)
	r.stream.mark = func(word string) {
		if word == "begin" && r.result.Boot == 0 {
			r.result.Boot = time.Since(r.start)
		}
	}
	r.follow = [2]follower{{path: filepath.Join(r.dir, "console"), to: io.MultiWriter(&r.console, r.lines[0])},
		{path: filepath.Join(r.dir, "stream"), to: r.stream}}
}

func (r *run) close() {
	r.file.Close()
	for i := range r.follow {
		r.follow[i].close()
	}
	for _, f := range []string{"initrd", "stream", "disc.iso"} { // the large ones
		_ = os.Remove(filepath.Join(r.dir, f))
	}
}

// keepRuns is how many folders of earlier runs stay.
const keepRuns = 30

// prune removes the oldest runs. Names of one kind sort by time, but kinds are mixed: the time of the folder counts.
func prune(top string) {
	all, _ := filepath.Glob(filepath.Join(top, "*-*", "log"))
	for len(all) > keepRuns {
		oldest := 0
		for i := range all {
			a, errA := os.Stat(all[i])
			b, errB := os.Stat(all[oldest])
			if errA == nil && errB == nil && a.ModTime().Before(b.ModTime()) {
				oldest = i
			}
		}
		_ = os.RemoveAll(filepath.Dir(all[oldest]))
		all = append(all[:oldest], all[oldest+1:]...)
	}
}

// do boots, and returns when the jobs are over.
func (r *run) do(ctx context.Context) error {
	i, err := r.image(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.MultiWriter(r.file, r.log), "testbed %s, log in %s\n", r.spec.describe(), r.result.Log)
	e, err := r.emulator(ctx, i)
	if err != nil {
		return err
	}
	return r.follows(ctx, e)
}

// follows reads what the emulated host sends, ends the emulator, and keeps what came.
func (r *run) follows(ctx context.Context, e *emulator) error {
	r.start = e.started
	err := r.watch(ctx, e)
	e.kill()
	err = errors.Join(err, r.poll())
	r.stream.finish()
	r.result.Total = time.Since(r.start)
	r.result.Jobs, r.result.Console = r.stream.jobs, r.console.String()
	for _, l := range r.lines {
		l.flush()
	}
	return errors.Join(err, r.stream.save(filepath.Join(r.dir, "files")))
}

// emulator starts it. What it prints goes to a file of its own.
func (r *run) emulator(ctx context.Context, i image) (*emulator, error) {
	out, err := os.Create(filepath.Join(r.dir, "emulator"))
	if err != nil {
		return nil, err
	}
	defer out.Close() // processes have it
	if r.spec.Kind != VTX {
		x86, err := "", error(nil)
		if r.spec.Kind == SVM {
			if x86, err = mended(io.MultiWriter(r.file, r.log)); err != nil {
				return nil, err
			}
		}
		argv := r.spec.qemu(x86, i)
		fmt.Fprintf(r.file, "%s\n", strings.Join(argv, " "))
		return startOn(r.spec.bind(), argv, r.dir, out, nil)
	}
	argv, err := r.spec.bochs(ctx, i)
	if err != nil {
		return nil, err
	}
	x, name, err := startDisplay(ctx, r.dir, out)
	if err != nil {
		return nil, err
	}
	e, err := startProcess(argv, r.dir, out, []string{"DISPLAY=" + name})
	if err != nil {
		x.kill()
		return nil, err
	}
	e.after = x.kill
	return e, nil
}

// lastWords gives the end of what the emulator printed, and of what it logged.
func (r *run) lastWords() string {
	var all []byte
	for _, name := range []string{"emulator", bochsLog} {
		b, _ := os.ReadFile(filepath.Join(r.dir, name))
		all = append(all, b[max(0, len(b)-500):]...)
	}
	return strings.TrimSpace(string(all))
}

// image makes the files that the emulator boots.
func (r *run) image(ctx context.Context) (image, error) {
	i := image{dir: r.dir, initrd: filepath.Join(r.dir, "initrd"), params: r.spec.params(), console: r.follow[0].path, stream: r.follow[1].path}
	modules, err := kernels.FetchModules(r.log, r.spec.HostKernel, append(hostModules(r.spec.Kind), r.spec.Modules...)...)
	if err != nil {
		return i, err
	}
	f, err := kernels.Open()
	if err != nil {
		return i, err
	}
	if i.kernel, err = f.Find(r.spec.HostKernel); err != nil {
		return i, err
	}
	box, err := f.Find(busybox(r.spec.Kind))
	if err != nil {
		return i, err
	}
	var inside []string
	for _, m := range modules {
		inside = append(inside, modulePath(m))
	}
	files := map[string]string{}
	maps.Copy(files, r.spec.Files)
	if r.spec.Kind != VHE {
		anchor := filepath.Join(r.dir, "anchor")
		if err := r.spec.Kind.Build(ctx, anchor, "gozen/ci/testbed/anchor"); err != nil {
			return i, err
		}
		files[anchorPath] = anchor
	}
	d := diskSpec{busybox: box, init: r.spec.script(r.nonce, inside), modules: modules, files: files, jobs: r.spec.Jobs}
	return i, d.write(i.initrd)
}

func (r *run) poll() error { return errors.Join(r.follow[0].poll(), r.follow[1].poll()) }

var panicLine = regexp.MustCompile(`Kernel panic - not syncing.*`)

// watch reads what comes until the last mark, or until nothing more can come.
func (r *run) watch(ctx context.Context, e *emulator) error {
	seen := 0
	heard, bytesHeard := time.Now(), 0
	for tick := time.NewTicker(pollEvery); ; {
		ended := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.ended:
			ended = true
		case <-tick.C:
		}
		if err := r.poll(); err != nil {
			return err
		}
		if r.stream.over {
			return nil
		}
		if n := r.console.Len() + r.stream.heard; n != bytesHeard {
			heard, bytesHeard = time.Now(), n
		} else if r.spec.Kind == SVM && !r.spec.ICount && time.Since(heard) > silence {
			return fmt.Errorf("%w for %v", ErrStalled, silence)
		} else if bytesHeard == 0 && time.Since(heard) > begins {
			return fmt.Errorf("%w in %v: %s", errSilent, begins, r.lastWords())
		}
		text := r.console.Bytes()
		if i := bytes.LastIndexByte(text, '\n') + 1; i > seen {
			if l := panicLine.Find(text[seen:i]); l != nil {
				return fmt.Errorf("%w: %s", ErrPanic, bytes.TrimSpace(l))
			}
			seen = i
		}
		if ended {
			return fmt.Errorf("%w: %v: %s", ErrDied, e.err, r.lastWords())
		}
	}
}

// verdict gives what the results say.
func (r *run) verdict() error {
	if r.stream.err != nil {
		return r.stream.err
	}
	var bad []string
	for _, j := range r.result.Jobs {
		if j.Status != 0 {
			bad = append(bad, fmt.Sprintf("%s ended with status %d", j.Name, j.Status))
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("%w: %s", ErrJob, strings.Join(bad, ", "))
	}
	if len(r.result.Jobs) != len(r.spec.Jobs) {
		return fmt.Errorf("%w: %d of %d jobs ran", errStream, len(r.result.Jobs), len(r.spec.Jobs))
	}
	return nil
}
