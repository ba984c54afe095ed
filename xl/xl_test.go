package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gozen/hypervisor/control"
	"gozen/hypervisor/control/controltest"
	"gozen/hypervisor/control/process"
)

// TestMain lets the test binary be xl, the xenstore programs, and a hypervisor whose machines are fakes.
func TestMain(m *testing.M) {
	programs := map[string]func(){
		"hypervisor": func() { os.Exit(process.Main(os.Args[1:], "test", controltest.New, controltest.Host)) },
	}
	for _, n := range []string{"xl", "xenstore-ls", "xenstore-read", "xenstore-write", "xenstore-rm", "xenstore-watch",
		"xenstore-exists", "xenstore-list", "xenstore-chmod"} {
		programs[n] = main
	}
	testscript.Main(m, programs)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			bin := os.Getenv("PATH")
			bin, _, _ = strings.Cut(bin, ":")
			e.Setenv("GOZEN_HYPERVISOR", filepath.Join(bin, "hypervisor"))
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each program otherwise
			run := filepath.Join(e.WorkDir, "run")
			e.Setenv("GOZEN_RUN", run)
			e.Defer(func() { killAll(t, run) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  cmdStatus,
			"slay":    cmdSlay,
			"awaitno": cmdAwaitNo,
			"same":    cmdSame,
		},
	})
}

// killAll leaves no process behind a failed test.
func killAll(t *testing.T, run string) {
	r, err := control.OpenRegistry(run)
	if err != nil {
		return
	}
	all, _ := r.List()
	for _, f := range all {
		if f.PID > 1 {
			_ = syscall.Kill(f.PID, syscall.SIGKILL)
		}
	}
	for range 100 {
		if all, _ := r.List(); len(all) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("domains left in %s", run)
}

// cmdStatus runs a program and compares its exit status: status 2 xl destroy.
func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		got = -1
		if _, s, ok := strings.Cut(err.Error(), "exit status "); ok {
			got, _ = strconv.Atoi(s)
		}
	}
	if got != want {
		ts.Fatalf("exit status %d (%v), want %d", got, err, want)
	}
}

// cmdSlay kills the process of a domain with SIGKILL: slay NAME.
func cmdSlay(ts *testscript.TestScript, _ bool, args []string) {
	r, err := control.OpenRegistry(ts.Getenv("GOZEN_RUN"))
	ts.Check(err)
	f, err := r.Find(args[0])
	ts.Check(err)
	ts.Check(syscall.Kill(f.PID, syscall.SIGKILL))
}

// cmdAwaitNo waits until a domain is gone: awaitno NAME.
func cmdAwaitNo(ts *testscript.TestScript, _ bool, args []string) {
	r, err := control.OpenRegistry(ts.Getenv("GOZEN_RUN"))
	ts.Check(err)
	for range 500 {
		if _, err := r.Find(args[0]); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s is still there", args[0])
}

// cmdSame compares the last standard output or error with a text, where \t and \n stand for themselves: same stderr 'TEXT'.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Unquote(`"` + strings.ReplaceAll(args[1], `"`, `\"`) + `"`)
	ts.Check(err)
	if got := ts.ReadFile(args[0]); (got == want) == neg {
		ts.Fatalf("%s is %q, want %q", args[0], got, want)
	}
}
