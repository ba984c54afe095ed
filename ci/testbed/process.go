package testbed

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An emulator is a process that ends with this one at the latest.
type emulator struct {
	started time.Time
	ended   chan struct{}
	err     error // once ended
	process *os.Process
	after   func() // at its end, if not nil
}

// startProcess starts a program in the folder dir, with more environment and open files. What it prints goes to log.
func startProcess(argv []string, dir string, log *os.File, env []string, files ...*os.File) (*emulator, error) {
	return startOn(nil, argv, dir, log, env, files...)
}

// startOn is startProcess with what binds the new process to processors of this machine, if anything.
func startOn(bind func() (undo func()), argv []string, dir string, log *os.File, env []string, files ...*os.File) (*emulator, error) {
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir, c.Stdout, c.Stderr, c.ExtraFiles = dir, log, log, files
	c.Env = append(os.Environ(), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	e := &emulator{started: time.Now(), ended: make(chan struct{})}
	begun := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is about the thread
		defer runtime.UnlockOSThread()
		if bind != nil {
			defer bind()()
		}
		err := c.Start()
		begun <- err
		if err == nil {
			e.err = c.Wait()
			close(e.ended)
		}
	}()
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	e.process = c.Process
	return e, nil
}

// kill ends it and waits for that.
func (e *emulator) kill() {
	_ = e.process.Kill()
	<-e.ended
	if e.after != nil {
		e.after()
	}
}

// oneProcessor binds the calling thread, and what it starts, to one of the processors that it may use; undo lifts that.
func oneProcessor() (undo func()) {
	var may, one unix.CPUSet
	if unix.SchedGetaffinity(0, &may) != nil {
		return func() {}
	}
	for n, i := rand.IntN(max(may.Count(), 1)), 0; i < len(may)*64; i++ {
		if !may.IsSet(i) {
			continue
		}
		if n--; n < 0 {
			one.Set(i)
			break
		}
	}
	_ = unix.SchedSetaffinity(0, &one)
	return func() { _ = unix.SchedSetaffinity(0, &may) }
}
