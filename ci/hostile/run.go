package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

type options struct {
	engine  string
	time    time.Duration
	seed    uint64
	n       int
	verbose bool
}

// Limits of one guest: it may run for ever, but a domain that is told to end does so soon.
const (
	lifeTime  = 300 * time.Millisecond
	deathTime = 20 * time.Second
)

// runAll runs guests until the time is over, and prints what became of them.
func runAll(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "gozen-hostile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began, said := time.Now(), time.Now()
	ends := map[string]int{}
	ran := 0
	for ctx.Err() == nil && (o.n > 0 && ran < o.n || o.n == 0 && time.Since(began) < o.time) {
		end, err := one(dir, o, o.seed+uint64(ran))
		if err != nil {
			fmt.Printf("target hostile-pv-%s-failed 1 of %d guests (limit 0) MISSED\n", o.engine, ran+1)
			return fmt.Errorf("guest of seed %d: %w", o.seed+uint64(ran), err)
		}
		if o.verbose {
			fmt.Printf("seed %d: %s\n", o.seed+uint64(ran), end)
		}
		ends[strings.SplitN(end, ":", 2)[0]]++
		ran++
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "%v of %v: %d guests\n", time.Since(began).Round(time.Second), o.time, ran)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(ends)) {
		fmt.Printf("%6d %s\n", ends[k], k)
	}
	fmt.Printf("target hostile-pv-%s-failed 0 of %d guests in %v (limit 0) ok\n", o.engine, ran, time.Since(began).Round(time.Second))
	return nil
}

// one runs the guest of a seed and says how it ended. An error is one of the hypervisor.
func one(dir string, o options, seed uint64) (end string, err error) {
	img, err := image(seed)
	if err != nil {
		return "", err
	}
	kernel := filepath.Join(dir, "kernel")
	if err := os.WriteFile(kernel, img, 0o600); err != nil {
		return "", err
	}
	log, err := control.NewConsoleLog(filepath.Join(dir, "console.log"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	ring := control.NewRing(1 << 14)
	cfg := config.Domain{Name: "hostile", UUID: "12345678-9abc-def0-1122-334455667788", Type: config.PV, Kernel: kernel, MemoryMiB: 24, VCPUs: 1 + int(seed%2), Engine: config.Engine(o.engine)}
	m, err := build.New(cfg, control.Options{Domid: 1, Dir: dir, ConsoleOut: log, Log: ring, Began: time.Now(), Warn: func(string) {}})
	if err != nil {
		return "", err
	}
	if err := m.Unpause(); err != nil {
		return "", err
	}
	end = "killed"
	select {
	case <-m.Done():
		end = m.Reason().Code + ": " + m.Reason().Text
	case <-time.After(lifeTime):
		m.Destroy()
		select {
		case <-m.Done():
		case <-time.After(deathTime):
			buf := make([]byte, 1<<18)
			return "", fmt.Errorf("the domain did not end within %v of its destruction\n%s", deathTime, buf[:runtime.Stack(buf, true)])
		}
	}
	if text := m.Reason().Text; strings.Contains(text, "internal error") {
		return "", fmt.Errorf("%s\n%s", text, ring.Bytes(false))
	}
	return end, m.Close()
}
