package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/control"
)

// storeCall is one use of a xenstore command. The option letters are those of Xen's xenstore-* programs.
type storeCall struct {
	prog                                          string // as messages name it
	prefix, raw, tidy, upto, recurse, flat, perms bool
	events                                        int // watch: how many, -1 for ever
}

// storeUsage gives the arguments of each command.
var storeUsage = map[string]string{"read": "[-h] [-p] [-R] key [...]", "write": "[-h] [-R] key value [...]", "rm": "[-h] [-t] key [...]",
	"exists": "[-h] key", "list": "[-h] [-p] key [...]", "ls": "[-h] [-f] [-p] [path]",
	"chmod": "[-h] [-u] [-r] key <mode [modes...]>", "watch": "[-h] [-n NR] key"}

// xenstore runs a xenstore command: args[0] is the program's name, args[1] the command.
func (a *app) xenstore(args []string) int {
	prog := args[0]
	usage := func(mode string) int {
		if mode != "" && strings.HasPrefix(prog, "xl ") {
			mode += " "
			fmt.Fprintf(a.err, "Usage: %s %s%s\n", prog, mode, storeUsage[strings.TrimSpace(mode)])
		} else if mode != "" {
			fmt.Fprintf(a.err, "Usage: %s %s\n", prog, storeUsage[mode])
		} else {
			fmt.Fprintf(a.err, "Usage: %s <ls|read|write|rm|watch|exists|list|chmod> [-h] [...]\n", prog)
		}
		return exitFail
	}
	if len(args) < 2 || args[1] == "-h" || args[1] == "--help" {
		return usage("")
	}
	mode := args[1]
	if _, ok := storeUsage[mode]; !ok {
		fmt.Fprintf(a.err, "%s: unknown mode %s\n", prog, mode)
		return exitFail
	}
	c := storeCall{prog: prog, events: -1}
	var paths []string
	for i := 2; i < len(args); i++ {
		s := args[i]
		if len(s) < 2 || s[0] != '-' || s == "--" {
			if s == "--" {
				i++
			}
			paths = append(paths, args[i:]...)
			break
		}
		for _, o := range s[1:] {
			switch {
			case o == 'h':
				usage(mode)
				return exitOK
			case o == 's': // socket: there is no other way in anyway
			case o == 'p' && mode == "ls":
				c.perms = true
			case o == 'p':
				c.prefix = true
			case o == 'f' && mode == "ls":
				c.flat = true
			case o == 'R':
				c.raw = true
			case o == 't' && mode == "rm":
				c.tidy = true
			case o == 'u' && mode == "chmod":
				c.upto = true
			case o == 'r' && mode == "chmod":
				c.recurse = true
			case o == 'n' && mode == "watch" && i+1 < len(args):
				i++
				n, err := strconv.Atoi(args[i])
				if err != nil || n < 0 {
					return usage(mode)
				}
				c.events = n
			default:
				return usage(mode)
			}
		}
	}
	doms, ok := a.domains()
	if !ok {
		return exitFail
	}
	t := newTree(doms)
	defer t.close()
	if len(paths) == 0 && mode == "ls" {
		paths = []string{"/"}
	}
	if len(paths) == 0 || mode == "write" && len(paths)%2 != 0 || mode == "chmod" && len(paths) < 2 {
		return usage(mode)
	}
	return a.storeRun(&c, t, mode, paths)
}

func (a *app) storeRun(c *storeCall, t *tree, mode string, paths []string) int {
	switch mode {
	case "write":
		for i := 0; i < len(paths); i += 2 {
			v := []byte(paths[i+1])
			if !c.raw {
				v = unsanitise(paths[i+1])
			}
			if err := t.write(paths[i], v); err != nil {
				return a.storeFail(c, "could not write path "+paths[i], err)
			}
		}
		return exitOK
	case "chmod":
		return a.storeChmod(c, t, paths[0], paths[1:])
	case "watch":
		return a.storeWatch(c, t, paths)
	}
	for _, p := range paths {
		var rc int
		switch mode {
		case "read":
			rc = a.storeRead(c, t, p)
		case "exists":
			if _, err := t.read(p); err != nil {
				rc = exitFail
			}
		case "list":
			rc = a.storeList(c, t, p)
		case "rm":
			rc = a.storeRm(c, t, p)
		case "ls":
			rc = a.storeLs(c, t, p)
		}
		if rc != exitOK {
			return rc
		}
	}
	return exitOK
}

// storeFail prints Xen's line, and the reason where it says more than that there is no such node.
func (a *app) storeFail(c *storeCall, text string, err error) int {
	fmt.Fprintf(a.err, "%s: %s\n", c.prog, text)
	if !errors.Is(err, unix.ENOENT) {
		fmt.Fprintf(a.err, "  why:   %v\n", err)
	}
	return exitFail
}

func (a *app) storeRead(c *storeCall, t *tree, p string) int {
	v, err := t.read(p)
	if err != nil {
		return a.storeFail(c, "couldn't read path "+p, err)
	}
	if c.prefix {
		fmt.Fprintf(a.out, "%s: ", p)
	}
	if c.raw {
		_, _ = a.out.Write(v)
	} else {
		fmt.Fprintln(a.out, sanitise(v))
	}
	return exitOK
}

func (a *app) storeList(c *storeCall, t *tree, p string) int {
	names, err := t.list(p)
	if err != nil {
		return a.storeFail(c, "could not list path "+p, err)
	}
	for _, n := range names {
		if c.prefix {
			fmt.Fprintf(a.out, "%s/", strings.TrimSuffix(p, "/"))
		}
		fmt.Fprintln(a.out, n)
	}
	return exitOK
}

// storeRm removes a node; with -t also the nodes above it that are left empty.
func (a *app) storeRm(c *storeCall, t *tree, p string) int {
	for {
		if err := t.rm(p); err != nil {
			return a.storeFail(c, "could not remove path "+p, err)
		}
		i := strings.LastIndexByte(p, '/')
		if !c.tidy || i <= 0 {
			return exitOK
		}
		p = p[:i]
		v, err := t.read(p)
		names, lerr := t.list(p)
		if err != nil || lerr != nil || len(v) > 0 || len(names) > 0 {
			return exitOK
		}
	}
}

func (a *app) storeChmod(c *storeCall, t *tree, p string, perms []string) int {
	for _, s := range perms {
		if s == "" || strings.IndexByte("nrwb", s[0]) < 0 {
			fmt.Fprintf(a.err, "%s: Invalid permission specification: '%.1s'\n", c.prog, s)
			return exitFail
		}
		if _, err := strconv.ParseUint(s[1:], 10, 16); err != nil {
			fmt.Fprintf(a.err, "%s: Invalid permission specification: '%s': a domid must follow the letter\n", c.prog, s)
			return exitFail
		}
	}
	var set func(p string) int
	set = func(p string) int {
		if err := t.chmod(p, perms); err != nil {
			return a.storeFail(c, "Error occurred setting permissions on '"+p+"': "+reasonText(err), unix.ENOENT)
		}
		if c.recurse {
			names, _ := t.list(p)
			for _, n := range names {
				if rc := set(strings.TrimSuffix(p, "/") + "/" + n); rc != exitOK {
					return rc
				}
			}
		}
		return exitOK
	}
	if rc := set(p); rc != exitOK || !c.upto {
		return rc
	}
	for c.recurse = false; ; {
		i := strings.LastIndexByte(p, '/')
		if i <= 0 {
			return exitOK
		}
		p = p[:i]
		if rc := set(p); rc != exitOK {
			return rc
		}
	}
}

func (a *app) storeWatch(c *storeCall, t *tree, paths []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	left := c.events
	if left == 0 {
		return exitOK
	}
	fire := func(p string) {
		mu.Lock()
		defer mu.Unlock()
		if left == 0 {
			return
		}
		fmt.Fprintln(a.out, p)
		if left--; left == 0 {
			cancel()
		}
	}
	return a.storeWatchAll(ctx, c, t, paths, fire)
}

func (a *app) storeWatchAll(ctx context.Context, c *storeCall, t *tree, paths []string, fire func(string)) int {
	var wg sync.WaitGroup
	started := false
	for _, p := range paths {
		parts := t.parts(t.absolute(p))
		for i, part := range parts {
			started = true
			wg.Go(func() {
				skip := i > 0 // the first event of the others repeats that of the first
				_ = part.client.StoreWatch(ctx, t.absolute(p), func(path string) {
					if skip {
						skip = false
						return
					}
					fire(path)
				})
			})
		}
	}
	if !started {
		fmt.Fprintf(a.err, "%s: Unable to add watch on %s\n  why:   no running domain has that part of the tree\n", c.prog, strings.Join(paths, " "))
		return exitFail
	}
	wg.Wait()
	return exitOK
}

// storeLs prints a subtree as xenstore-ls does.
func (a *app) storeLs(c *storeCall, t *tree, p string) int {
	names, err := t.list(p)
	if err != nil {
		fmt.Fprintf(a.err, "%s: xs_directory (%s): %s\n", c.prog, p, reasonText(err))
		return exitFail
	}
	width := 80
	if f, ok := a.out.(*os.File); ok {
		width = 1 << 20
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col > 4 {
			width = int(ws.Col) - 2
		}
	}
	a.lsNames(c, t, p, names, 0, width)
	return exitOK
}

// lsTag is the room that ` = "..."` takes.
const lsTag = len(` = "..."`)

func (a *app) lsNames(c *storeCall, t *tree, dir string, names []string, depth, width int) {
	for _, n := range names {
		p := strings.TrimSuffix(dir, "/") + "/" + n
		label := n
		if c.flat {
			label = p
		} else if room := max(0, width-lsTag-depth); len(label) > room {
			label = label[:room]
		}
		line := label
		if !c.flat {
			line = strings.Repeat(" ", depth) + label
		}
		used := len(line)
		if c.flat {
			used = 0
		}
		v, err := t.read(p)
		switch text := sanitise(v); {
		case err != nil:
			line += ":\n"
		case width < used+len(v)+lsTag:
			line += fmt.Sprintf(` = "%.*s\..."`, max(0, width-lsTag-used), text)
		default:
			line += ` = "` + text + `"`
			if used += len(text) + 5; c.perms {
				line += " "
				for used++; used < min(60, width); used++ {
					line += map[bool]string{true: ".", false: " "}[used&1 == 1]
				}
			}
		}
		if c.perms {
			if perms, err := t.perms(p); err == nil {
				line += "  (" + strings.Join(perms, ",") + ")"
			}
		}
		_, _ = io.WriteString(a.out, line+"\n")
		if below, err := t.list(p); err == nil && depth < 256 {
			a.lsNames(c, t, p, below, depth+1, width)
		}
	}
}

// sanitise shows bytes as Xen's programs do.
func sanitise(v []byte) string {
	var b strings.Builder
	for _, c := range v {
		switch {
		case c == '\\':
			b.WriteString(`\\`)
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < 8:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// unsanitise is the opposite: \t \n \r \\, \xHH and \OOO are bytes.
func unsanitise(s string) []byte {
	var out []byte
	number := func(digits string, base, most int) (byte, int) {
		n := 0
		for n < len(digits) && n < most {
			if _, err := strconv.ParseUint(digits[n:n+1], base, 8); err != nil {
				break
			}
			n++
		}
		v, _ := strconv.ParseUint(digits[:n], base, 16)
		return byte(v), n
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' || i+1 >= len(s) {
			out = append(out, c)
			continue
		}
		i++
		switch c = s[i]; {
		case strings.IndexByte("tnr", c) >= 0:
			out = append(out, "\t\n\r"[strings.IndexByte("tnr", c)])
		case c == 'x':
			v, n := number(s[i+1:], 16, 2)
			out = append(out, v)
			i += n
		case c >= '0' && c <= '7':
			v, n := number(s[i:], 8, 3)
			out = append(out, v)
			i += n - 1
		default:
			out = append(out, c)
		}
	}
	return out
}

// tree joins the parts of xenstore that the domains' processes serve.
type tree struct {
	all []part
}

type part struct {
	found  control.Found
	client *control.Client
}

func newTree(doms []control.Found) *tree {
	t := &tree{}
	for _, d := range doms {
		t.all = append(t.all, part{d, control.NewClient(d.Dir)})
	}
	return t
}

func (t *tree) close() {
	for _, p := range t.all {
		p.client.Close()
	}
}

// absolute resolves a relative path as domain 0 would.
func (t *tree) absolute(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = "/local/domain/0/" + p
	}
	return filepath.Clean(p)
}

// parts gives the domains that can have the path: the one that owns it, or else all.
func (t *tree) parts(path string) []part {
	seg := strings.Split(strings.Trim(path, "/"), "/")
	owner, uuid := "", ""
	switch {
	case len(seg) >= 3 && seg[0] == "local" && seg[1] == "domain" && seg[2] != "0":
		owner = seg[2]
	case len(seg) >= 6 && seg[0] == "local" && seg[3] == "backend":
		owner = seg[5]
	case len(seg) >= 2 && seg[0] == "libxl":
		owner = seg[1]
	case len(seg) >= 2 && seg[0] == "vm":
		uuid = seg[1]
	default:
		return t.all
	}
	for _, p := range t.all {
		if owner == strconv.Itoa(p.found.Domid) || uuid != "" && uuid == p.found.UUID {
			return []part{p}
		}
	}
	return nil
}

// each asks the parts in turn until f says that it is done; the error is the last part's.
func (t *tree) each(path string, f func(c *control.Client, ctx context.Context, abs string) (bool, error)) error {
	abs := t.absolute(path)
	err := error(unix.ENOENT)
	for _, p := range t.parts(abs) {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		done, e := f(p.client, ctx, abs)
		cancel()
		if done {
			return nil
		}
		if e != nil {
			err = e
		}
	}
	return err
}

func (t *tree) read(path string) (v []byte, err error) {
	err = t.each(path, func(c *control.Client, ctx context.Context, abs string) (bool, error) {
		var e error
		v, e = c.StoreRead(ctx, abs)
		return e == nil, e
	})
	return v, err
}

func (t *tree) perms(path string) (v []string, err error) {
	err = t.each(path, func(c *control.Client, ctx context.Context, abs string) (bool, error) {
		var e error
		v, e = c.StorePerms(ctx, abs)
		return e == nil, e
	})
	return v, err
}

// list joins the names of all parts. The root of the tree is always there.
func (t *tree) list(path string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	found := t.absolute(path) == "/"
	err := t.each(path, func(c *control.Client, ctx context.Context, abs string) (bool, error) {
		names, e := c.StoreList(ctx, abs)
		found = found || e == nil
		for _, n := range names {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
		return false, e
	})
	if found {
		err = nil
	}
	return out, err
}

// errNoOwner is for writes to a path that belongs to no domain.
var errNoOwner = errors.New("no running domain owns that path: write below /local/domain/N, /libxl/N or /vm/UUID of one")

func (t *tree) write(path string, v []byte) error {
	abs := t.absolute(path)
	if p := t.parts(abs); len(p) != 1 || len(t.all) != 1 && len(strings.Split(abs, "/")) < 3 {
		return errNoOwner
	}
	return t.each(path, func(c *control.Client, ctx context.Context, abs string) (bool, error) {
		e := c.StoreWrite(ctx, abs, v)
		return e == nil, e
	})
}

func (t *tree) rm(path string) error {
	return t.each(path, func(c *control.Client, ctx context.Context, abs string) (bool, error) {
		e := c.StoreRm(ctx, abs)
		return e == nil, e
	})
}

func (t *tree) chmod(path string, perms []string) error {
	return t.each(path, func(c *control.Client, ctx context.Context, abs string) (bool, error) {
		e := c.StoreChmod(ctx, abs, perms)
		return e == nil, e
	})
}
