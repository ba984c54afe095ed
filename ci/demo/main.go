// Command demo shows a guest's whole life with the programs in bin/: it boots a stock Debian kernel with xl create -c, lists it, shuts it down and
// prints what the boot cost. Where Debian packages cannot be had it boots a small built-in guest instead.
//
// Path: guest.go prepares the files, steps.go runs the programs. The demo has a run folder of its own, so it sees and touches no
// domain but its own. Exit status 0 means that the guest greeted and was shut down.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "folder with xl, hypervisor and perfctl")
	engine := flag.String("engine", "auto", "soft, kvm or auto")
	builtin := flag.Bool("builtin", false, "boot the built-in guest without looking for Debian packages")
	timeout := flag.Duration("timeout", 10*time.Minute, "how long the whole demo may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("not done within %v", *timeout))
	defer cancel()
	if err := demo(ctx, *bin, *engine, *builtin); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func demo(ctx context.Context, bin, engine string, builtin bool) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gozen-demo-")
	if err != nil {
		return err
	}
	defer remove(dir)
	g, err := prepare(dir, engine, builtin)
	if err != nil {
		return err
	}
	s := &session{ctx: ctx, bin: bin, run: filepath.Join(dir, "run"), guest: g}
	defer s.cleanUp()
	return s.play()
}

// remove deletes the demo's folder. A domain's process may still be about to leave it, and a folder that gains a file meanwhile stays.
func remove(dir string) {
	for end := time.Now().Add(5 * time.Second); os.RemoveAll(dir) != nil && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
}
