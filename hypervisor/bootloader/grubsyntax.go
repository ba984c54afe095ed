package bootloader

import (
	"errors"
	"fmt"
	"strings"
)

// GRUB's language (GRUB manual, 6.1 "Writing full configuration files directly"): commands of words, if, for, while, until, functions, and blocks of commands that
// are the last word of a command.

// A piece of a word is text, or the name of a variable.
type piece struct {
	text   string
	name   bool
	quoted bool
}

type word []piece

// plain gives the text of a word that is neither quoted nor has variables: only such can be a keyword.
func (w word) plain() string {
	if len(w) == 1 && !w[0].name && !w[0].quoted {
		return w[0].text
	}
	return ""
}

// A command is one of the statements below.
type command any

type (
	simple struct {
		words []word
		block []command // of menuentry and submenu
		body  bool      // there is a block
	}
	conditional struct {
		when, then, otherwise []command
	}
	loop struct {
		until      bool
		when, body []command
	}
	each struct {
		name  string
		words []word
		body  []command
	}
	function struct {
		name string
		body []command
	}
)

const maxNest = 64

var errNest = errors.New("it is nested too deeply")

// scan goes through the text of a configuration.
type grubParser struct {
	s    string
	at   int
	line int
	nest int
}

func parseGrub(s string) ([]command, error) {
	p := &grubParser{s: s, line: 1}
	list, end, err := p.list()
	if err == nil && end != "" {
		err = fmt.Errorf("unexpected %q", end)
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", p.line, err)
	}
	return list, nil
}

// blank skips what separates words.
func (p *grubParser) blank() {
	for p.at < len(p.s) {
		switch c := p.s[p.at]; {
		case c == ' ' || c == '\t' || c == '\r':
			p.at++
		case c == '\\' && strings.HasPrefix(p.s[p.at+1:], "\n"):
			p.at += 2
			p.line++
		case c == '#':
			for p.at < len(p.s) && p.s[p.at] != '\n' {
				p.at++
			}
		default:
			return
		}
	}
}

// end says whether a command ends here, and goes beyond what ends it.
func (p *grubParser) end() bool {
	p.blank()
	if p.at >= len(p.s) {
		return true
	}
	switch p.s[p.at] {
	case '\n':
		p.line++
		p.at++
		return true
	case ';':
		p.at++
		return true
	}
	return p.s[p.at] == '}'
}

// list reads commands up to the end of the text, a closing brace, or a keyword that ends a list; that is given back, and stands behind p.
func (p *grubParser) list() (out []command, end string, err error) {
	if p.nest++; p.nest > maxNest {
		return nil, "", errNest
	}
	defer func() { p.nest-- }()
	for {
		for p.at < len(p.s) && p.end() && (p.at >= len(p.s) || p.s[p.at] != '}') {
		}
		if p.at >= len(p.s) {
			return out, "", nil
		}
		if p.s[p.at] == '}' {
			p.at++
			return out, "}", nil
		}
		w, err := p.word()
		if err != nil {
			return nil, "", err
		}
		switch k := w.plain(); k {
		case "then", "elif", "else", "fi", "do", "done":
			return out, k, nil
		default:
			c, err := p.command(k, w)
			if err != nil {
				return nil, "", err
			}
			out = append(out, c)
		}
	}
}

// until reads a list that has to end in one of some keywords.
func (p *grubParser) until(ends ...string) (list []command, end string, err error) {
	list, end, err = p.list()
	if err != nil {
		return nil, "", err
	}
	for _, e := range ends {
		if e == end {
			return list, end, nil
		}
	}
	if end == "" {
		end = "the end of the file"
	}
	return nil, "", fmt.Errorf("%s where %s has to be", end, strings.Join(ends, " or "))
}

func (p *grubParser) command(keyword string, first word) (command, error) {
	switch keyword {
	case "if":
		return p.conditional()
	case "while", "until":
		when, _, err := p.until("do")
		if err != nil {
			return nil, err
		}
		body, _, err := p.until("done")
		return &loop{until: keyword == "until", when: when, body: body}, err
	case "for":
		return p.each()
	case "function":
		return p.function()
	case "{":
		body, _, err := p.until("}")
		return &conditional{then: body}, err
	}
	return p.simple(first)
}

func (p *grubParser) conditional() (command, error) {
	if p.nest++; p.nest > maxNest { // elif goes on here
		return nil, errNest
	}
	defer func() { p.nest-- }()
	when, _, err := p.until("then")
	if err != nil {
		return nil, err
	}
	then, end, err := p.until("elif", "else", "fi")
	c := &conditional{when: when, then: then}
	switch {
	case err != nil:
		return nil, err
	case end == "elif":
		next, err := p.conditional()
		c.otherwise = []command{next}
		return c, err
	case end == "else":
		c.otherwise, _, err = p.until("fi")
	}
	return c, err
}

func (p *grubParser) each() (command, error) {
	c := &each{}
	p.blank()
	w, err := p.word()
	if c.name = w.plain(); err != nil || c.name == "" {
		return nil, errors.Join(errors.New("for without a name"), err)
	}
	for in := false; !p.end(); in = true {
		if w, err = p.word(); err != nil {
			return nil, err
		}
		if in {
			c.words = append(c.words, w)
		} else if w.plain() != "in" {
			return nil, errors.New("for without in")
		}
	}
	list, _, err := p.until("do")
	if err == nil && len(list) > 0 {
		err = errors.New("commands between for and do")
	}
	if err != nil {
		return nil, err
	}
	c.body, _, err = p.until("done")
	return c, err
}

func (p *grubParser) function() (command, error) {
	p.blank()
	w, err := p.word()
	c := &function{name: w.plain()}
	if err != nil || c.name == "" {
		return nil, errors.Join(errors.New("a function without a name"), err)
	}
	for p.at < len(p.s) && p.s[p.at] != '{' && p.s[p.at] != '}' && p.end() {
	}
	if p.at >= len(p.s) || p.s[p.at] != '{' {
		return nil, fmt.Errorf("function %s without a block", c.name)
	}
	p.at++
	c.body, _, err = p.until("}")
	return c, err
}

// simple reads the rest of a command whose first word is there.
func (p *grubParser) simple(first word) (command, error) {
	c := &simple{words: []word{first}}
	for !p.end() {
		if p.s[p.at] == '{' {
			p.at++
			c.body = true
			var err error
			c.block, _, err = p.until("}")
			return c, err
		}
		w, err := p.word()
		if err != nil {
			return nil, err
		}
		c.words = append(c.words, w)
	}
	return c, nil
}

// word reads a word, of at least one byte.
func (p *grubParser) word() (w word, err error) {
	text, quoted := []byte(nil), false
	flush := func() {
		if text != nil {
			w = append(w, piece{text: string(text), quoted: quoted})
		}
		text, quoted = nil, false
	}
	if p.at < len(p.s) && p.s[p.at] == '{' {
		p.at++
		return word{{text: "{"}}, nil
	}
	for p.at < len(p.s) {
		c := p.s[p.at]
		if strings.IndexByte(" \t\r\n;{}", c) >= 0 {
			break
		}
		p.at++
		switch c {
		case '\'':
			flush()
			n := strings.IndexByte(p.s[p.at:], '\'')
			if n < 0 {
				return nil, errors.New("a quotation mark without its other")
			}
			w = append(w, piece{text: p.s[p.at : p.at+n], quoted: true})
			p.line += strings.Count(p.s[p.at:p.at+n], "\n")
			p.at += n + 1
		case '"':
			flush()
			if w, err = p.double(w); err != nil {
				return nil, err
			}
		case '\\':
			if p.at < len(p.s) {
				if p.s[p.at] == '\n' {
					p.line++
				} else {
					flush()
					w = append(w, piece{text: p.s[p.at : p.at+1], quoted: true})
				}
				p.at++
			}
		case '$':
			if name := p.variable(); name != "" {
				flush()
				w = append(w, piece{text: name, name: true})
				continue
			}
			if p.at < len(p.s) && p.s[p.at] == '"' { // text to be translated
				continue
			}
			text = append(text, c)
		default:
			text = append(text, c)
		}
	}
	flush()
	return w, nil
}

// double reads what stands between double quotation marks, behind the first.
func (p *grubParser) double(w word) (word, error) {
	text := []byte{}
	for p.at < len(p.s) {
		c := p.s[p.at]
		p.at++
		switch {
		case c == '"':
			return append(w, piece{text: string(text), quoted: true}), nil
		case c == '\\' && p.at < len(p.s) && strings.IndexByte("\"\\$\n", p.s[p.at]) >= 0:
			if p.s[p.at] != '\n' {
				text = append(text, p.s[p.at])
			} else {
				p.line++
			}
			p.at++
		case c == '$':
			name := p.variable()
			if name == "" {
				text = append(text, c)
				continue
			}
			w = append(w, piece{text: string(text), quoted: true}, piece{text: name, name: true, quoted: true})
			text = []byte{}
		default:
			if c == '\n' {
				p.line++
			}
			text = append(text, c)
		}
	}
	return nil, errors.New("a quotation mark without its other")
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// variable reads a name behind a dollar sign, with or without braces; "" is none.
func (p *grubParser) variable() string {
	s := p.s[p.at:]
	braces := strings.HasPrefix(s, "{")
	if braces {
		s = s[1:]
	}
	n := 0
	switch {
	case s == "":
	case letter(s[0]):
		for n < len(s) && (letter(s[n]) || digit(s[n])) {
			n++
		}
	case digit(s[0]):
		for n < len(s) && digit(s[n]) {
			n++
		}
	case strings.IndexByte("?#*@", s[0]) >= 0:
		n = 1
	}
	switch {
	case n == 0 || braces && !strings.HasPrefix(s[n:], "}"):
		return ""
	case braces:
		p.at += n + 2
	default:
		p.at += n
	}
	return s[:n]
}
