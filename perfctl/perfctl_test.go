package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/controltest"
	"gozen/hypervisor/control/process"
)

// TestMain lets the test binary be perfctl, a hypervisor whose machines are fakes, and one whose machines are real.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"perfctl":    main,
		"hypervisor": func() { os.Exit(process.Main(os.Args[1:], "test", controltest.New, controltest.Host)) },
		"software":   func() { os.Exit(process.Main(os.Args[1:], "test", newMachine, build.Host)) },
		"launch":     launch,
		"meanwhile":  meanwhile,
		"reconcile":  reconcile,
	})
}

func newMachine(d config.Domain, o control.Options) (control.Machine, error) {
	m, err := build.New(d, o)
	if err != nil {
		return nil, err // not a nil *Machine in an interface
	}
	return m, nil
}

// launch starts a domain from a configuration file and leaves it running.
func launch() {
	d, err := readConfig(os.Args[1], nil, os.Stderr)
	if err == nil {
		_, err = process.Launch(os.Getenv("GOZEN_HYPERVISOR"), process.Request{Config: d}, nil)
	}
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Condition:           condition,
		Setup: func(e *testscript.Env) error {
			bin, _, _ := strings.Cut(os.Getenv("PATH"), ":")
			e.Setenv("GOZEN_HYPERVISOR", filepath.Join(bin, "hypervisor"))
			e.Setenv("SOFTWARE", filepath.Join(bin, "software"))
			run, err := os.MkdirTemp("", "pc") // short: a socket's path is bounded
			if err != nil {
				return err
			}
			e.Setenv("GOZEN_RUN", run)
			e.Defer(func() { clean(t, run) })
			return nil
		},
	})
}

// clean ends the domains a script left.
func clean(t *testing.T, run string) {
	reg, err := control.OpenRegistry(run)
	if err != nil {
		t.Error(err)
		return
	}
	all, _ := reg.List()
	for _, f := range all {
		c := control.NewClient(f.Dir)
		_ = c.Destroy(t.Context())
		_, _ = c.Wait(t.Context(), control.UntilDeath)
		c.Close()
	}
	_ = os.RemoveAll(run)
}
