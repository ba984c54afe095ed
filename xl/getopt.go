package main

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// call is one use of a subcommand.
type call struct {
	command *command
	args    []string
	began   time.Time
}

// options describes what a subcommand takes. Short is a getopt string ("ab:"); long names map to the short letter that they mean.
type options struct {
	short string
	long  map[string]byte
	need  int // operands at least
}

// noReturn is the rc of parse that lets a subcommand go on.
const noReturn = -1

// parse does what getopt_long with permutation does, and xl's checks after it: -h and --help print the help, an unknown
// option ends with status 2, so do too few operands. each is called for every option.
func (a *app) parse(c *call, o options, each func(opt byte, val string)) (operands []string, rc int) {
	args := c.args
	for i := 0; i < len(args); i++ {
		s := args[i]
		switch {
		case s == "--":
			operands = append(operands, args[i+1:]...)
			i = len(args)
		case strings.HasPrefix(s, "--"):
			name, val, has := strings.Cut(s[2:], "=")
			opt, ok := o.longOpt(name)
			if ok && opt == 'h' {
				a.help(c.command.name)
				return nil, exitOK
			}
			takes := strings.Contains(o.short, string(opt)+":")
			if !ok || has && !takes {
				return nil, a.badOption(s)
			}
			if takes && !has {
				if i++; i >= len(args) {
					return nil, a.badOption(s)
				}
				val = args[i]
			}
			each(opt, val)
		case len(s) > 1 && s[0] == '-':
			for j := 1; j < len(s); j++ {
				opt := s[j]
				k := strings.IndexByte(o.short, opt)
				if opt == 'h' && k < 0 {
					a.help(c.command.name)
					return nil, exitOK
				}
				if k < 0 || opt == ':' {
					return nil, a.badOption(string(opt))
				}
				if k+1 >= len(o.short) || o.short[k+1] != ':' {
					each(opt, "")
					continue
				}
				val := s[j+1:]
				if val == "" {
					if i++; i >= len(args) {
						return nil, a.badOption(string(opt))
					}
					val = args[i]
				}
				each(opt, val)
				break
			}
		default:
			operands = append(operands, s)
		}
	}
	if len(operands) < o.need {
		plural := ""
		if o.need > 1 {
			plural = "s"
		}
		a.say("'xl %s' requires at least %d argument%s.\n", c.command.name, o.need, plural)
		a.help(c.command.name)
		return nil, exitUsage
	}
	return operands, noReturn
}

func (a *app) badOption(opt string) int {
	fmt.Fprintf(a.err, "option `%s' not supported.\n", opt)
	return exitUsage
}

// longOpt finds a long option by its name or an unambiguous beginning of it.
func (o *options) longOpt(name string) (byte, bool) {
	names := map[string]byte{"help": 'h'}
	for k, v := range o.long {
		names[k] = v
	}
	if v, ok := names[name]; ok {
		return v, true
	}
	var hits []string
	for k := range names {
		if strings.HasPrefix(k, name) {
			hits = append(hits, k)
		}
	}
	sort.Strings(hits)
	if len(hits) != 1 {
		return 0, false
	}
	return names[hits[0]], true
}

// format is the value of -o: table (also ""), or json.
type format string

// parseFormat is parse for a command that has only -o, and needs so many operands.
func (a *app) parseFormat(c *call, need int) (args []string, f format, rc int) {
	args, rc = a.parse(c, options{short: "o:", need: need}, func(_ byte, v string) { f = format(v) })
	if rc == noReturn {
		rc = a.checkFormat(f)
	}
	return args, f, rc
}

// checkFormat checks the value of -o.
func (a *app) checkFormat(f format) int {
	switch f {
	case "", "table", "json":
		return noReturn
	}
	a.say("xl: output format %q is unknown", string(f))
	a.say("  do:    use -o json or -o table")
	return exitUsage
}
