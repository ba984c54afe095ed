package bootloader

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"
)

// Bounds of a program.
const (
	maxSteps  = 200_000  // commands
	maxCalls  = 32       // functions and files inside each other
	maxText   = 64 << 10 // bytes of a command's words, of a variable
	maxWork   = 32 << 20 // bytes of words in all
	maxValues = 4096     // variables
)

// errBounds says that a program was stopped.
var errBounds = errors.New("it was stopped: it runs for too long, or makes too much")

// flow is how a command ended.
type flow uint8

const (
	onward flow = iota
	breaking
	continuing
	returning
)

// grub executes a configuration of GRUB 2.
type grub struct {
	vars  map[string]string
	funcs map[string][]command
	args  []string // $1 and so on
	items *[]*item // where entries are added
	plan  *plan    // of the entry that is being executed
	bad   error    // what hindered that entry, or the reading
	calls int
	level int // loops and blocks inside each other
	state flow
	last  bool // whether the last command succeeded
	*shared
}

// shared is what all runs of a program have in common: that of the menu, those of submenus and entries.
type shared struct {
	d      *disk
	config place // the file that the menu comes from
	steps  int
	work   int
}

// step counts n commands, or as much work.
func (s *shared) step(n int) error {
	if s.steps += n; s.steps > maxSteps || s.d.meter.left < 0 {
		return errBounds
	}
	return nil
}

func readGrub(d *disk, at place) (*menu, error) {
	s, err := at.text()
	if err != nil {
		return nil, err
	}
	list, err := parseGrub(s)
	if err != nil {
		return nil, err
	}
	m := &menu{config: at}
	g := &grub{shared: &shared{d: d, config: at}, funcs: map[string][]command{}, items: &m.items, vars: map[string]string{
		"root": at.v.name, "prefix": "(" + at.v.name + ")" + path.Dir(at.path), "grub_platform": "xen", "grub_cpu": "x86_64", "pager": "", "config_file": at.String(), "boot": at.v.name,
	}}
	for _, f := range strings.Fields("default_font_path timeout_style menuentry_id menuentry_options 200_final platform_search_hint ntldr all_video_module chainloader_bpb nativedisk_cmd") {
		g.vars["feature_"+f] = "y"
	}
	if err := g.run(list); err != nil {
		return nil, err
	}
	m.note, m.config = g.bad, g.config
	if v := g.vars["default"]; v != "" {
		m.choice = append(m.choice, v)
	}
	if f := strings.Fields(g.vars["fallback"]); len(f) > 0 {
		if m.choice == nil {
			m.choice = []string{"0"}
		}
		m.choice = append(m.choice, f[:min(len(f), 8)]...)
	}
	return m, nil
}

// run executes commands. An error ends the program; a command that fails does not.
func (g *grub) run(list []command) error {
	if g.level++; g.level > 2*maxNest+maxCalls {
		return errNest
	}
	defer func() { g.level-- }()
	for _, c := range list {
		if err := g.step(1); err != nil {
			return err
		}
		if err := g.command(c); err != nil {
			return err
		}
		if g.state != onward {
			return nil
		}
	}
	return nil
}

func (g *grub) command(c command) error {
	switch c := c.(type) {
	case *simple:
		return g.simple(c)
	case *conditional:
		if err := g.run(c.when); err != nil || g.state != onward {
			return err
		}
		if g.last || c.when == nil {
			return g.run(c.then)
		}
		g.last = true
		return g.run(c.otherwise)
	case *loop:
		return g.loop(c)
	case *each:
		words, err := g.expand(c.words)
		if err != nil {
			return err
		}
		for _, w := range words {
			if err := g.step(1); err != nil {
				return err
			}
			if err := g.set(c.name, w); err != nil {
				return err
			}
			if err := g.run(c.body); err != nil || g.leave() {
				return err
			}
		}
	case *function:
		g.funcs[c.name] = c.body
		g.last = true
	}
	return nil
}

// leave says whether a loop is over, after one turn.
func (g *grub) leave() bool {
	s := g.state
	if s == breaking || s == continuing {
		g.state = onward
	}
	return s == breaking || s == returning
}

func (g *grub) loop(c *loop) error {
	for {
		if err := g.step(1); err != nil {
			return err
		}
		if err := g.run(c.when); err != nil || g.state != onward {
			return err
		}
		if g.last == c.until {
			g.last = true
			return nil
		}
		if err := g.run(c.body); err != nil || g.leave() {
			return err
		}
	}
}

func (g *grub) simple(c *simple) error {
	words, err := g.expand(c.words)
	if err != nil || len(words) == 0 {
		return err
	}
	name, args := words[0], words[1:]
	if name == "menuentry" || name == "submenu" {
		g.last = true
		return g.entry(name == "submenu", args, c)
	}
	if body, ok := g.funcs[name]; ok {
		return g.call(body, args)
	}
	if strings.Contains(name, "=") {
		g.last = true
		return g.assign(words[:1])
	}
	g.last, err = g.builtin(name, args)
	return err
}

// call runs a function.
func (g *grub) call(body []command, args []string) error {
	if g.calls++; g.calls > maxCalls {
		return errBounds
	}
	old := g.args
	g.args = args
	err := g.run(body)
	g.args = old
	g.calls--
	if g.state == returning {
		g.state = onward
	}
	return err
}

// source runs another file.
func (g *grub) source(file string) (bool, error) {
	p, err := g.place(file)
	var s string
	if err == nil {
		s, err = p.text()
	}
	if err != nil {
		g.fault(err)
		return false, nil
	}
	list, err := parseGrub(s)
	if err != nil {
		return false, fmt.Errorf("%s: %w", p, err)
	}
	return true, g.call(list, nil)
}

// fault keeps the first thing that went wrong.
func (g *grub) fault(err error) {
	if g.bad == nil {
		g.bad = err
	}
}

// entry adds an entry or a submenu, which are executed when they are chosen.
func (g *grub) entry(sub bool, args []string, c *simple) error {
	it := &item{}
	var rest []string
	for i := 0; i < len(args); i++ {
		switch key, value, given := strings.Cut(args[i], "="); key {
		case "--class", "--users", "--hotkey", "--id", "--source":
			if !given && i+1 < len(args) {
				i++
				value = args[i]
			}
			if key == "--id" {
				it.id = value
			}
		case "--unrestricted":
		default:
			rest = append(rest, args[i])
		}
	}
	if len(rest) == 0 || !c.body || g.plan != nil {
		return nil
	}
	if len(*g.items) >= maxItems {
		return errManyItems
	}
	it.title = rest[0]
	if sub {
		it.sub = g.submenu(c.block, rest)
	} else {
		it.load = func() (*plan, error) { return g.fork(rest).load(c.block) }
	}
	*g.items = append(*g.items, it)
	return nil
}

// fork makes a run of its own with what is known when the menu is complete: entries see the variables as they are then.
func (g *grub) fork(args []string) *grub {
	return &grub{shared: g.shared, vars: maps.Clone(g.vars), funcs: maps.Clone(g.funcs), args: args, level: g.level}
}

// submenu gives the entries of a submenu, executed once.
func (g *grub) submenu(block []command, args []string) func() ([]*item, error) {
	var items []*item
	var err error
	done := false
	return func() ([]*item, error) {
		if !done {
			done = true
			if err = g.step(len(g.vars) + len(g.funcs)); err != nil { // they are copied
				return nil, err
			}
			n := g.fork(args)
			n.items = &items
			err = n.run(block)
		}
		return items, err
	}
}

// load executes an entry.
func (g *grub) load(block []command) (*plan, error) {
	g.plan, g.items = &plan{}, &[]*item{}
	g.steps, g.work = 0, 0
	if err := g.run(block); err != nil {
		return nil, err
	}
	if g.plan.kernel.v == nil {
		if g.bad == nil {
			g.bad = errors.New("it starts no Linux kernel")
		}
		return nil, g.bad
	}
	return g.plan, nil
}

// expand makes words. A variable outside quotation marks can become several words or none.
func (g *grub) expand(words []word) ([]string, error) {
	var out []string
	total := 0
	for _, w := range words {
		var b strings.Builder
		some := false
		for _, p := range w {
			s := p.text
			if p.name {
				s = g.value(p.text)
			}
			if total += len(s) + 1; total > maxText {
				return nil, errBounds
			}
			if !p.name || p.quoted {
				some = true
				b.WriteString(s)
				continue
			}
			fields := strings.Fields(s)
			for i, f := range fields {
				if i > 0 || b.Len() > 0 && strings.IndexByte(" \t\n", s[0]) >= 0 {
					out = append(out, b.String())
					b.Reset()
				}
				b.WriteString(f)
				some = true
			}
		}
		if some {
			out = append(out, b.String())
		}
	}
	if g.work += total + 16; g.work > maxWork {
		return nil, errBounds
	}
	return out, nil
}

// value gives a variable's.
func (g *grub) value(name string) string {
	switch name {
	case "?":
		if g.last {
			return "0"
		}
		return "1"
	case "#":
		return strconv.Itoa(len(g.args))
	case "*", "@":
		s := strings.Join(g.args, " ")
		return s[:min(len(s), maxText)]
	}
	if digit(name[0]) {
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || n > len(g.args) {
			return ""
		}
		return g.args[n-1]
	}
	return g.vars[name]
}

func (g *grub) set(name, v string) error {
	if _, ok := g.vars[name]; !ok && len(g.vars) >= maxValues || len(name) > 256 {
		return errBounds
	}
	if g.work += len(v); g.work > maxWork {
		return errBounds
	}
	g.vars[name] = v
	return nil
}

// place gives the place of a file: on the volume that it names, or on $root.
func (g *grub) place(file string) (place, error) {
	dev, name := g.vars["root"], file
	if strings.HasPrefix(file, "(") {
		d, rest, ok := strings.Cut(file[1:], ")")
		if !ok {
			return place{}, fmt.Errorf("%s names no file", file)
		}
		dev, name = d, rest
	}
	v := g.d.device(dev)
	if v == nil {
		return place{}, fmt.Errorf("%s: there is no volume %q; %s", file, dev, g.d.summary())
	}
	return place{v, path.Join("/", name)}, nil
}
