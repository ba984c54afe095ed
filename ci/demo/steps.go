package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"gozen/benches/guest/linux"
)

// session is the demo under way.
type session struct {
	ctx   context.Context
	bin   string
	run   string // GOZEN_RUN of all programs
	guest guest
}

// play does the steps; the error says which one failed.
func (s *session) play() error {
	say("booting %s with xl.cfg:", s.guest.what)
	cfg, err := os.ReadFile(s.guest.cfg)
	if err != nil {
		return err
	}
	fmt.Print("    " + strings.ReplaceAll(strings.TrimSpace(string(cfg)), "\n", "\n    ") + "\n")
	say("xl create -c %s", filepath.Base(s.guest.cfg))
	w := &watcher{out: os.Stdout, greeting: make(chan struct{})}
	create := s.command("xl", "create", "-c", s.guest.cfg)
	create.Stdout, create.Stderr = w, os.Stderr
	if err := create.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- create.Wait() }()
	select {
	case <-w.greeting:
	case err := <-ended:
		if !w.seen() {
			return fmt.Errorf("the guest ended without its greeting (xl create: %v)", err)
		}
		return errors.New("the guest ended before it was asked to")
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	if err := s.step("xl", "list"); err != nil {
		return err
	}
	var table bytes.Buffer
	stat := s.command("perfctl", "stat", name)
	stat.Stdout, stat.Stderr = &table, os.Stderr
	if err := stat.Run(); err != nil {
		return fmt.Errorf("perfctl stat: %w", err)
	}
	if err := s.step("xl", "shutdown", "-w", name); err != nil {
		return err
	}
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("xl create: %w", err)
		}
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	say("perfctl stat %s (as it was after the greeting)", name)
	fmt.Print(table.String())
	if err := s.modes(); err != nil {
		return err
	}
	say("done: the guest booted, greeted and was shut down cleanly")
	return nil
}

// modes compares the three ways of running a guest on the built-in CPU, which every machine has.
func (s *session) modes() error {
	return s.step("perfctl", "compare", "--quick", "--brief", "--silent", "--engine", "soft", "syscall/null", "trap/ud2", "cpuid", "walk/4k", "pt/update", "fault/minor", "hypercall/null",
		"evtchn/self", "sched/halt", "timer/fire", "io/port", "io/notify")
}

func say(format string, args ...any) { fmt.Printf("\n=== "+format+"\n", args...) }

// step runs a program and shows what it prints.
func (s *session) step(program string, args ...string) error {
	say("%s %s", program, strings.Join(args, " "))
	c := s.command(program, args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", program, args[0], err)
	}
	return nil
}

// command makes a command of bin/ in a process group of its own, so that Ctrl-C reaches only the demo, which then cleans up.
func (s *session) command(program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(s.ctx, filepath.Join(s.bin, program), args...)
	c.Env = append(os.Environ(), "GOZEN_RUN="+s.run, "GOZEN_HYPERVISOR="+filepath.Join(s.bin, "hypervisor"))
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.WaitDelay = 5 * time.Second
	return c
}

// cleanUp destroys the domain if it is still there. Only the demo's own domain is in its run folder.
func (s *session) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s.ctx = ctx
	if s.command("xl", "domid", name).Run() == nil {
		_ = s.command("xl", "destroy", name).Run()
	}
}

// watcher passes the console on and tells when the guest has greeted.
type watcher struct {
	out      io.Writer
	mu       sync.Mutex
	text     []byte
	done     bool
	greeting chan struct{}
}

// Write implements io.Writer.
func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.text = append(w.text, p...)
		i := bytes.Index(w.text, []byte(linux.Greeting))
		if i >= 0 && bytes.Contains(w.text[i:], []byte(greeted+"\r\n")) || i >= 0 && bytes.Contains(w.text[i:], []byte(greeted+"\n")) {
			w.done = true
			w.text = nil
			defer close(w.greeting)
		}
	}
	return w.out.Write(p)
}

func (w *watcher) seen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}
