package bootloader

import (
	"fmt"
	"slices"
	"strings"
)

// builtin executes one of GRUB's commands. It says whether the command succeeded; an error ends the program. What a domain has no use for succeeds without effect,
// what is not known fails.
func (g *grub) builtin(name string, args []string) (bool, error) {
	switch name {
	case "[":
		if len(args) == 0 || args[len(args)-1] != "]" {
			return false, nil
		}
		return g.test(args[:len(args)-1]), nil
	case "test":
		return g.test(args), nil
	case "set":
		return true, g.assign(args)
	case "unset":
		for _, a := range args {
			delete(g.vars, a)
		}
		return true, nil
	case "linux", "linux16", "linuxefi":
		return g.linux(args), nil
	case "initrd", "initrd16", "initrdefi":
		return g.initrd(args), nil
	case "search", "search.fs_uuid", "search.fs_label", "search.file":
		return g.search(name, args)
	case "load_env":
		return g.loadEnv(args)
	case "source", ".", "configfile", "normal":
		if len(args) != 1 {
			return false, nil
		}
		if p, err := g.place(args[0]); err == nil && (name == "configfile" || name == "normal") {
			g.config = p
		}
		return g.source(args[0])
	case "blscfg":
		return g.bls()
	case "break":
		g.state = breaking
	case "continue":
		g.state = continuing
	case "return":
		g.state = returning
		return len(args) == 0 || args[0] == "0", nil
	case "shift":
		g.args = g.args[min(len(g.args), 1):]
	case "setparams":
		g.args = args
	case "increment", "decrement":
		return true, g.count(name, args)
	case "chainloader", "multiboot", "multiboot2", "xen_hypervisor", "ntldr", "kopenbsd", "kfreebsd", "fwsetup", "exit", "halt", "reboot":
		g.fault(fmt.Errorf("it is for %s, not for a Linux kernel", name))
		return false, nil
	case "true", ":", "export", "insmod", "rmmod", "echo", "save_env", "terminal_input", "terminal_output", "terminal", "serial", "clear", "sleep", "boot",
		"extract_entries_source", "background_color", "gettext", "date", "nativedisk", "password", "password_pbkdf2", "devicetree", "cryptomount", "play", "cat", "ls":
	default:
		return false, nil
	}
	return true, nil
}

func (g *grub) assign(args []string) error {
	for _, a := range args {
		if name, v, ok := strings.Cut(a, "="); ok && name != "" {
			if err := g.set(name, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *grub) count(how string, args []string) error {
	if len(args) != 1 {
		return nil
	}
	n, _ := number(g.vars[args[0]])
	if how == "increment" {
		n++
	} else {
		n--
	}
	return g.set(args[0], fmt.Sprint(n))
}

func (g *grub) linux(args []string) bool {
	if g.plan == nil || len(args) == 0 {
		return false
	}
	p, err := g.place(args[0])
	if err == nil {
		_, err = p.open()
	}
	if err != nil {
		g.fault(err)
		return false
	}
	g.plan.kernel, g.plan.initrds, g.plan.cmdline = p, nil, join(args[1:])
	return true
}

// join makes a command line of words. One with blanks gets quotation marks, as GRUB does it.
func join(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if strings.ContainsAny(w, " \t") {
			w = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
		}
		b.WriteString(w)
	}
	return b.String()
}

func (g *grub) initrd(args []string) bool {
	if g.plan == nil || g.plan.kernel.v == nil {
		return false
	}
	for _, a := range args {
		p, err := g.place(a)
		if err == nil && len(g.plan.initrds) >= maxInitrds {
			err = fmt.Errorf("more than %d initial RAM disks", maxInitrds)
		}
		if err != nil {
			g.fault(err)
			return false
		}
		g.plan.initrds = append(g.plan.initrds, p)
	}
	return true
}

// search finds the volume that has a UUID, a label or a file, and puts its name into a variable.
func (g *grub) search(name string, args []string) (bool, error) {
	by, to, rest := "", "root", []string(nil)
	switch name {
	case "search.fs_uuid", "search.fs_label", "search.file":
		by = strings.TrimPrefix(name, "search.")
		if len(args) > 1 {
			to = args[1]
		}
		rest = args[:min(len(args), 1)]
	default:
		for i := 0; i < len(args); i++ {
			switch key, value, given := strings.Cut(args[i], "="); {
			case key == "--fs-uuid" || key == "-u":
				by = "fs_uuid"
			case key == "--label" || key == "--fs-label" || key == "-l":
				by = "fs_label"
			case key == "--file" || key == "-f":
				by = "file"
			case key == "--set" && given:
				to = value
			case strings.HasPrefix(key, "--hint") && !given || key == "-h":
				i++
			case strings.HasPrefix(key, "-"):
			default:
				rest = append(rest, args[i])
			}
		}
	}
	if len(rest) == 0 {
		return false, nil
	}
	want := rest[0]
	for _, v := range g.d.volumes {
		if by == "fs_uuid" && v.uuid != "" && strings.EqualFold(v.uuid, want) || by == "fs_label" && v.label != "" && v.label == want ||
			by == "file" && (place{v, want}).exists() {
			return true, g.set(to, v.name)
		}
	}
	g.fault(fmt.Errorf("no volume with the %s %s; %s", strings.TrimPrefix(by, "fs_"), want, g.d.summary()))
	return false, nil
}

// once is a variable that GRUB forgets after it has read it, so that it counts for one start. The disk is not written to here: it would count for all.
const once = "next_entry"

// loadEnv reads variables from an environment block.
func (g *grub) loadEnv(args []string) (bool, error) {
	file, only := "$prefix", []string(nil)
	for i := 0; i < len(args); i++ {
		switch key, value, given := strings.Cut(args[i], "="); {
		case key == "--file" && given:
			file = value
		case (key == "--file" || key == "-f") && i+1 < len(args):
			i++
			file = args[i]
		case strings.HasPrefix(key, "-"):
		default:
			only = append(only, args[i])
		}
	}
	if file == "$prefix" {
		file = g.vars["prefix"] + "/grubenv"
	}
	p, err := g.place(file)
	if err != nil {
		return false, nil
	}
	s, err := p.text()
	if err != nil {
		return false, nil
	}
	for name, v := range environment(s) {
		if name != once && (only == nil || slices.Contains(only, name)) {
			if err := g.set(name, v); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// environment reads an environment block: lines of NAME=VALUE with backslashes before what is special (GRUB manual, "environment block").
func environment(s string) map[string]string {
	out := map[string]string{}
	s, ok := strings.CutPrefix(s, "# GRUB Environment Block\n")
	for ok && s != "" && len(out) < maxValues {
		var line strings.Builder
		i := 0
		for ; i < len(s) && s[i] != '\n'; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			line.WriteByte(s[i])
		}
		s = s[min(i+1, len(s)):]
		if l := line.String(); !strings.HasPrefix(l, "#") {
			if name, v, found := strings.Cut(l, "="); found && name != "" {
				out[name] = v
			}
		}
	}
	return out
}
