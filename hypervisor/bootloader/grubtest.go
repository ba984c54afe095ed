package bootloader

import (
	"strconv"
	"strings"
)

// test is GRUB's command: -o binds weakest, then -a, then !.
func (g *grub) test(args []string) bool {
	t := &tester{g: g, args: args}
	return t.or() && len(t.args) == 0
}

type tester struct {
	g    *grub
	args []string
	nest int
}

func (t *tester) take(word string) bool {
	if len(t.args) > 0 && t.args[0] == word {
		t.args = t.args[1:]
		return true
	}
	return false
}

func (t *tester) or() bool {
	v := t.and()
	for t.take("-o") {
		w := t.and()
		v = v || w
	}
	return v
}

func (t *tester) and() bool {
	v := t.one()
	for t.take("-a") {
		w := t.one()
		v = v && w
	}
	return v
}

func (t *tester) one() bool {
	if t.nest++; t.nest > maxNest || len(t.args) == 0 {
		t.args = t.args[:0]
		return false
	}
	defer func() { t.nest-- }()
	if len(t.args) >= 3 {
		if v, ok := compare(t.args[0], t.args[1], t.args[2]); ok {
			t.args = t.args[3:]
			return v
		}
	}
	if len(t.args) >= 2 {
		if v, ok := t.unary(t.args[0], t.args[1]); ok {
			t.args = t.args[2:]
			return v
		}
		if t.take("!") {
			return !t.one()
		}
		if t.take("(") {
			v := t.or()
			return t.take(")") && v
		}
	}
	v := t.args[0] != ""
	t.args = t.args[1:]
	return v
}

func (t *tester) unary(op, s string) (v, ok bool) {
	switch op {
	case "-n":
		return s != "", true
	case "-z":
		return s == "", true
	case "-f", "-e", "-s", "-d":
		p, err := t.g.place(s)
		if err != nil {
			return false, true
		}
		switch {
		case op == "-d":
			return p.isDir(), true
		case op == "-s":
			f, err := p.open()
			return err == nil && f.Size > 0, true
		}
		return p.exists() || op == "-e" && p.isDir(), true
	}
	return false, false
}

func compare(a, op, b string) (v, ok bool) {
	switch op {
	case "=", "==":
		return a == b, true
	case "!=":
		return a != b, true
	case "<":
		return a < b, true
	case "<=":
		return a <= b, true
	case ">":
		return a > b, true
	case ">=":
		return a >= b, true
	}
	x, _ := number(a)
	y, _ := number(b)
	switch op {
	case "-eq":
		return x == y, true
	case "-ne":
		return x != y, true
	case "-lt":
		return x < y, true
	case "-le":
		return x <= y, true
	case "-gt":
		return x > y, true
	case "-ge":
		return x >= y, true
	}
	return false, false
}

func number(s string) (int64, error) { return strconv.ParseInt(strings.TrimSpace(s), 0, 64) }
