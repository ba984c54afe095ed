package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// Exit statuses that xl has (reference: measured, Xen 4.17).
const (
	exitOK     = 0
	exitFail   = 1
	exitUsage  = 2
	exitCreate = 3 // libxl refused
	exitConfig = 6 // no configuration at all
)

// answerTime bounds how long a domain process may take to answer a question.
const answerTime = 3 * time.Second

// app is one run of xl.
type app struct {
	out, err io.Writer
	in       *os.File

	verbose, force, dryRun, cr, stamps bool

	reg *control.Registry
	// ackTime is how long a guest has to react to a shutdown request; 0 means Xen's 60 seconds.
	ackTime time.Duration
	// keys is standard input in pieces, once a console has asked for it.
	keys chan []byte
}

func (a *app) main(args []string) int {
	began := time.Now()
	if base := filepath.Base(args[0]); strings.HasPrefix(base, "xenstore-") {
		return a.xenstore(append([]string{base, strings.TrimPrefix(base, "xenstore-")}, args[1:]...))
	}
	rest, ok := a.globals(args[1:])
	if !ok {
		fmt.Fprintln(a.err, "unknown global option")
		return exitFail
	}
	if len(rest) == 0 {
		a.help("")
		return exitFail
	}
	switch rest[0] {
	case "help", "--help":
		a.help(strings.Join(rest[1:], " "))
		return exitOK
	case "--version":
		fmt.Fprintln(a.out, "xl (gozen) "+version)
		return exitOK
	}
	if rest[0] == hotplugWatch {
		return a.hotplugWatch(rest[1:])
	}
	c := lookup(rest[0])
	if c == nil {
		fmt.Fprintln(a.err, "command not implemented")
		if s := suggestCommand(rest[0]); s != "" {
			fmt.Fprintf(a.err, "xl: %q is not a subcommand: did you mean %q?\n", rest[0], s)
		}
		return exitFail
	}
	if c.run == nil {
		fmt.Fprintf(a.err, "xl: %s: %s\n", c.name, c.why)
		return exitFail
	}
	if a.dryRun && !c.dryRun {
		fmt.Fprintln(a.err, "command does not implement -N (dryrun) option")
		return exitFail
	}
	return c.run(a, &call{command: c, args: rest[1:], began: began})
}

// version is set at build time with -ldflags "-X main.version=...".
var version = "0.1.0"

// globals takes xl's own options: they stand before the subcommand.
func (a *app) globals(args []string) (rest []string, ok bool) {
	for i, s := range args {
		if len(s) < 2 || s[0] != '-' || strings.HasPrefix(s, "--") {
			return args[i:], true
		}
		for _, c := range s[1:] {
			switch c {
			case 'v':
				a.verbose = true
			case 'f':
				a.force = true
			case 't':
				a.cr = true
			case 'T':
				a.stamps = true
			case 'N':
				a.dryRun = true
			case 'h':
				return []string{"help"}, true
			default:
				return nil, false
			}
		}
	}
	return nil, true
}

// say writes a line to standard error, with time and pid under -T.
func (a *app) say(format string, args ...any) {
	if a.stamps {
		fmt.Fprintf(a.err, "%s [%d] ", time.Now().Format("2006-01-02 15:04:05 MST"), os.Getpid())
	}
	fmt.Fprintf(a.err, format+"\n", args...)
}

// explain prints a refusal in parts: what, and below it where, why and what to do. where may be nil.
func (a *app) explain(err error, where func(field string) string) {
	for _, e := range config.Errors(err) {
		a.say("%s", e.What)
		if where != nil && e.Field != "" {
			if w := where(e.Field); w != "" {
				a.say("  where: %s", w)
			}
		}
		if e.Why != "" {
			a.say("  why:   %s", e.Why)
		}
		if e.Fix != "" {
			a.say("  do:    %s", e.Fix)
		}
	}
}

// registry opens the run folder once.
func (a *app) registry() (*control.Registry, error) {
	if a.reg == nil {
		r, err := control.OpenRegistry("")
		if err != nil {
			return nil, err
		}
		a.reg = r
	}
	return a.reg, nil
}

// sayDeaths tells of domains that were killed by their sandbox, which r has found.
func (a *app) sayDeaths(r *control.Registry) {
	for _, d := range r.Deaths() {
		a.say("d%d (%s): %s", d.Domid, d.Name, d.What)
		a.say("  where: its whole log is %s", d.Log)
	}
}

// domains gives all live domains, without Domain-0. It prints the error.
func (a *app) domains() ([]control.Found, bool) {
	r, err := a.registry()
	if err == nil {
		var all []control.Found
		if all, err = r.List(); err == nil {
			a.sayDeaths(r)
			return all, true
		}
	}
	a.explain(err, nil)
	return nil, false
}

// find looks up the domain that a person named. For Domain-0 it gives a Found with Domid 0. It prints xl's text if there
// is none.
func (a *app) find(name string) (control.Found, bool) {
	if name == "0" || name == dom0Name {
		return control.Found{Name: dom0Name}, true
	}
	r, err := a.registry()
	if err == nil {
		var f control.Found
		f, err = r.Find(name)
		a.sayDeaths(r)
		if err == nil {
			return f, true
		}
	}
	switch _, nerr := strconv.ParseUint(name, 10, 16); {
	case !errors.Is(err, control.ErrNotFound):
		a.explain(err, nil)
	case nerr == nil:
		a.say("Error: Domain '%s' does not exist.", name)
	default:
		a.say("%s is an invalid domain identifier (rc=-6)", name)
	}
	return control.Found{}, false
}

// findGuest is find for commands that make no sense on the host.
func (a *app) findGuest(name, verb string) (control.Found, bool) {
	f, ok := a.find(name)
	if ok && f.Domid == 0 {
		a.say("Domain-0 is the host: xl does not %s it", verb)
		return f, false
	}
	return f, ok
}

// ask gives a client for a domain and a context that bounds one question.
func ask(f control.Found) (*control.Client, context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	return control.NewClient(f.Dir), ctx, cancel
}

// simple runs one question against a domain and prints what went wrong.
func (a *app) simple(f control.Found, verb string, do func(*control.Client, context.Context) error) int {
	c, ctx, cancel := ask(f)
	defer cancel()
	defer c.Close()
	if err := do(c, ctx); err != nil {
		a.failed(f, verb, err)
		return exitFail
	}
	return exitOK
}

func (a *app) failed(f control.Found, verb string, err error) {
	var ce *config.Error
	if errors.As(err, &ce) {
		a.explain(ce, nil)
		return
	}
	why, do := err.Error(), ""
	if errors.Is(err, context.DeadlineExceeded) {
		why = fmt.Sprintf("its process (%d) did not answer within %v", f.PID, answerTime)
		do = fmt.Sprintf("see %s/%s, or end it with: xl destroy %d", f.Dir, control.LogName, f.Domid)
	}
	a.explain(&config.Error{What: fmt.Sprintf("xl: %s of domain %d (%s) failed", verb, f.Domid, f.Name), Why: why, Fix: do}, nil)
}

// printJSON writes v to standard output.
func (a *app) printJSON(v any) int {
	b, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		a.say("xl: %v", err)
		return exitFail
	}
	if _, err := fmt.Fprintf(a.out, "%s\n", b); err != nil {
		return exitFail
	}
	return exitOK
}
