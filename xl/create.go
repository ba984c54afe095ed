package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/process"
	"gozen/xl/cfg"
)

// createOptions are the options of xl create.
type createOptions struct {
	file, engine                               string
	console, foreground, paused, quiet, dryRun bool
	verbose                                    bool
	extra                                      bytes.Buffer
}

func (a *app) create(c *call) int {
	o := createOptions{dryRun: a.dryRun, verbose: a.verbose}
	args, rc := a.parse(c, options{short: "AFVcdef:inpqvE:", long: map[string]byte{"defconfig": 'f', "dryrun": 'n', "quiet": 'q', "verbose": 'v',
		"vncviewer": 'V', "vncviewer-autopass": 'A', "ignore-global-affinity-masks": 'i', "engine": 'E', "console": 'c', "paused": 'p'}},
		func(opt byte, v string) {
			switch opt {
			case 'f':
				o.file = v
			case 'c':
				o.console = true
			case 'F':
				o.foreground = true
			case 'p':
				o.paused = true
			case 'q':
				o.quiet = true
			case 'v':
				o.verbose = true
			case 'n':
				o.dryRun = true
			case 'E':
				o.engine = v
			}
		})
	if rc != noReturn {
		return rc
	}
	for _, s := range args {
		switch {
		case strings.Contains(s, "="):
			o.extra.WriteString(s + "\n")
		case o.file == "":
			o.file = s
		default:
			a.help("create")
			return exitUsage
		}
	}
	if o.engine != "" {
		fmt.Fprintf(&o.extra, "engine = %q\n", o.engine)
	}
	res, rc := a.readConfig(o.file, o.extra.Bytes(), o.quiet, true)
	if rc != noReturn {
		return rc
	}
	if o.dryRun {
		return a.printJSON(longOf(res.Domain, 0))
	}
	return a.launch(c, &o, res)
}

// readConfig reads and understands a configuration file and the settings of the command line behind it. It prints
// what is wrong and gives xl's exit status, or noReturn.
func (a *app) readConfig(file string, extra []byte, quiet, announce bool) (*cfg.Result, int) {
	if file == "" {
		a.say("Config file not specified and none in save file")
		return nil, exitConfig
	}
	src, err := readFile(file)
	if err != nil {
		a.say("Failed to read config file: %s: %s", file, reasonText(err))
		return nil, exitCreate
	}
	if announce && !quiet {
		a.say("Parsing config from %s", file)
	}
	conf, err := cfg.Parse(file, src)
	if err == nil && len(extra) > 0 {
		var more *cfg.Config
		if more, err = cfg.Parse("command line", extra); err == nil {
			err = conf.Merge(more)
		}
	}
	if err != nil {
		a.parseErrors(err)
		return nil, exitFail
	}
	res, err := conf.Domain()
	if !quiet {
		for _, w := range res.Warnings {
			a.say("%s", w)
		}
	}
	if err != nil {
		a.explain(err, res.At)
		return res, configStatus(err)
	}
	makeAbsolute(&res.Domain.Kernel)
	makeAbsolute(&res.Domain.Ramdisk)
	makeAbsolute(&res.Domain.Firmware)
	for i := range res.Domain.Disks {
		makeAbsolute(&res.Domain.Disks[i].Path)
	}
	return res, noReturn
}

// maxConfig bounds what is read as a configuration.
const maxConfig = 1 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(b) > maxConfig {
		err = syscall.EFBIG
	}
	return b, err
}

// reasonText gives the operating system's words without the path.
func reasonText(err error) string {
	var n syscall.Errno
	if errors.As(err, &n) {
		s := n.Error()
		return strings.ToUpper(s[:1]) + s[1:]
	}
	return err.Error()
}

func (a *app) parseErrors(err error) {
	var es *cfg.Errors
	if errors.As(err, &es) {
		for _, e := range es.List {
			a.say("%s", e.Error())
			a.say("  %s", e.Help())
		}
		if es.Python {
			a.say("warning: Config file looks like it contains Python code.")
			a.say("warning:  Arbitrary Python is no longer supported.")
			a.say("warning:  See https://wiki.xen.org/wiki/PythonInXlConfig")
		}
	}
	a.say("Failed to parse config: Invalid argument")
}

// configStatus is 1 for what xl itself refuses and 3 for what libxl or Xen does.
func configStatus(err error) int {
	for _, e := range config.Errors(err) {
		switch e.Field {
		case "vcpus", "memory", "max_event_channels", "max_grant_frames", "max_grant_version":
		default:
			return exitFail
		}
	}
	return exitCreate
}

func makeAbsolute(path *string) {
	if *path != "" {
		if abs, err := filepath.Abs(*path); err == nil {
			*path = abs
		}
	}
}

// launch starts the domain process and stays as long as the options say.
func (a *app) launch(c *call, o *createOptions, res *cfg.Result) int {
	program, err := process.FindBinary()
	if err == nil {
		var r *control.Registry
		if r, err = a.registry(); err == nil {
			var st process.Started
			launch := process.Launch
			if scripted(res.Domain.NICs) {
				launch = a.launchScripted
			}
			st, err = launch(program, process.Request{Config: res.Domain, Paused: o.paused || o.console || o.foreground, Root: r.Root(), Began: c.began},
				func(s string) {
					if !o.quiet {
						a.say("%s", s)
					}
				})
			if err == nil {
				a.sayPlan(&st.Plan, &res.Domain, o)
				return a.stay(st.Domid, st.Dir, o)
			}
		}
	}
	a.explain(err, res.At)
	a.say("xl: domain %q was not created; nothing of it is left", res.Domain.Name)
	return exitCreate
}

// sayPlan tells what executes the domain, and why: all of it with -v, else one line where hardware was to be expected.
func (a *app) sayPlan(p *process.Plan, d *config.Domain, o *createOptions) {
	if o.verbose {
		for _, l := range planLines(p) {
			a.say("%s", l)
		}
		return
	}
	_, err := os.Stat(kvmPath)
	free := (d.Engine == config.EngineAuto || d.Engine == "") && !d.Deterministic && !d.Interleaved
	if !o.quiet && err == nil && free && p.Engine == string(config.EngineSoft) {
		a.say("engine soft: %s", p.EngineWhy)
	}
}

// kvmPath is where a host offers KVM.
const kvmPath = "/dev/kvm"

// planLines gives what -v prints.
func planLines(p *process.Plan) []string {
	out := []string{fmt.Sprintf("engine %s: %s", p.Engine, p.EngineWhy)}
	if p.Boot != "" {
		out = append([]string{"boot " + p.Boot}, out...)
	}
	if p.Paths == nil {
		return out
	}
	for _, f := range []field{{"hypercalls", p.Paths.Hypercalls}, {"apic", p.Paths.APIC}, {"events", p.Paths.Events}, {"upcall", p.Paths.Upcall},
		{"timer", p.Paths.Timer}, {"memory", p.Paths.Memory}} {
		out = append(out, fmt.Sprintf("  %-11s %s", f.key+":", f.value))
	}
	for _, w := range p.Paths.Why {
		out = append(out, "  why:        "+w)
	}
	return out
}

// stay shows the console and waits, following the domain through its restarts. The domain is paused at first, so that
// nothing of it is missed.
func (a *app) stay(domid int, dir string, o *createOptions) int {
	start, first := !o.paused, true
	for o.console || o.foreground {
		e, detached, err := a.follow(domid, dir, o, start)
		start = false
		if err != nil {
			a.buried(domid)
		}
		switch {
		case detached && !o.foreground:
			return exitOK
		case err != nil && !first: // it ended before it could be watched
			a.say("Domain %d has ended: see %s", domid, filepath.Join(filepath.Dir(dir), "log"))
			return exitOK
		case err != nil:
			a.say("xl: domain %d is gone: %v", domid, err)
			return exitFail
		}
		first = false
		a.sayEnd(domid, e, o.quiet)
		if e.Successor == 0 {
			return exitOK
		}
		domid, dir = e.Successor, filepath.Join(filepath.Dir(dir), strconv.Itoa(e.Successor))
	}
	return exitOK
}

// buried tells why the process of a domain vanished, if that is known.
func (a *app) buried(domid int) {
	r, err := a.registry()
	if err != nil {
		return
	}
	// The process may need a moment to end, its memory given back.
	for range 20 {
		all, err := r.List()
		if err != nil || !slices.ContainsFunc(all, func(f control.Found) bool { return f.Domid == domid }) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.sayDeaths(r)
}

// follow stays with one domain until it has ended, or until its console was left and nobody wants to wait.
func (a *app) follow(domid int, dir string, o *createOptions, start bool) (e control.Ended, detached bool, err error) {
	cl := control.NewClient(dir)
	defer cl.Close()
	await, err := cl.BeginWait(context.Background(), control.UntilOutcome)
	if err != nil {
		return e, false, err
	}
	unpause := func() {
		if !start {
			return
		}
		if err := cl.Unpause(context.Background()); err != nil {
			a.say("xl: domain %d could not be started: %v", domid, err)
		}
	}
	if o.console {
		if detached, err = a.attach(cl, 0, ctrlBracket, unpause); err != nil {
			a.say("xl: console of domain %d: %v", domid, err)
		}
		if detached {
			if o.console = false; !o.foreground {
				return e, true, nil
			}
		}
	} else {
		unpause()
	}
	e, err = await()
	return e, false, err
}

// sayEnd tells how a domain ended. A crash is told even to those who want quiet.
func (a *app) sayEnd(domid int, e control.Ended, quiet bool) {
	bad := e.Reason.Code == control.ReasonCrash || e.Reason.Code == control.ReasonWatchdog
	if quiet && !bad {
		return
	}
	line := fmt.Sprintf("Domain %d has ended: %s", domid, e.Reason.Code)
	if e.Reason.Text != "" {
		line += " (" + e.Reason.Text + ")"
	}
	switch {
	case e.Successor != 0:
		line += fmt.Sprintf("; it is domain %d now", e.Successor)
	case e.Action == string(config.Preserve):
		line += fmt.Sprintf("; it is preserved until: xl destroy %d", domid)
	}
	a.say("%s", line)
	if e.Note != "" {
		a.say("  note:  %s", e.Note)
	}
	if bad && e.Reason.Detail != "" {
		a.say("%s", strings.TrimRight(e.Reason.Detail, "\n"))
	}
}
