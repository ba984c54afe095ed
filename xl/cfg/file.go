package cfg

import (
	"fmt"
	"strings"
)

// Value is a string, a number as it was written, or a list.
type Value struct {
	Str    string
	List   []Value
	IsList bool
	Line   int
	Col    int
}

// Setting is one key with its value; += has been carried out.
type Setting struct {
	File  string
	Key   string
	Value Value
	Line  int // of the key
	Col   int
	add   bool
}

// Config is the settings of a file and of what was put behind it, in order. Of several with one key the last counts.
type Config struct {
	Settings []Setting
}

// ParseError is one error in a file. Error gives it in the shape of xl, Help what to do about it.
type ParseError struct {
	File      string
	Line, Col int
	Near      string // the text at fault, or "" at the end of a line
	Msg       string
	Hint      string
}

// Error gives xl's text.
func (e *ParseError) Error() string {
	near := "`" + e.Near + "'"
	if e.Near == "" {
		near = "<newline>"
	}
	return fmt.Sprintf("%s:%d: config parsing error near %s: %s", e.File, e.Line, near, e.Msg)
}

// Help gives the place with its column and what would be right.
func (e *ParseError) Help() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Hint)
}

// Errors is what Parse gives for a file that is not right: at most maxErrors, one a line.
type Errors struct {
	List []*ParseError
	// Python says that the file looks like a configuration of the old xm, which was Python.
	Python bool
}

// Error joins the texts.
func (e *Errors) Error() string {
	lines := make([]string, len(e.List))
	for i, p := range e.List {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

const (
	maxErrors = 20
	maxDepth  = 32      // nested lists
	maxSize   = 1 << 20 // bytes of a file
)

type parser struct {
	lexer
	file string
	tok  token
	out  Config
	errs Errors
	last int // line of the last error
}

// Parse reads the text of a file; name stands in messages. The error is an *Errors.
func Parse(name string, src []byte) (*Config, error) {
	p := &parser{file: name}
	p.lexer = lexer{src: string(src), line: 1, report: p.report}
	if len(src) > maxSize {
		p.report(1, 1, "", "file too large", fmt.Sprintf("a configuration has at most %d bytes", maxSize))
		return nil, &p.errs
	}
	p.advance()
	for p.tok.kind != tEOF && len(p.errs.List) < maxErrors {
		p.statement()
	}
	if len(p.errs.List) > 0 {
		p.errs.Python = p.python
		return nil, &p.errs
	}
	return &p.out, nil
}

func (p *parser) advance() { p.tok = p.lexer.next() }

func (p *parser) report(line, col int, near, msg, hint string) {
	if line <= p.last { // one error a line, as xl has it
		return
	}
	p.last = line
	p.errs.List = append(p.errs.List, &ParseError{File: p.file, Line: line, Col: col, Near: near, Msg: msg, Hint: hint})
}

// unexpected reports the present token and skips to the end of its line.
func (p *parser) unexpected(hint string) {
	if p.tok.kind != tBad {
		near := p.tok.text
		if p.tok.kind == tNewline || p.tok.kind == tEOF {
			near = ""
		}
		p.report(p.tok.line, p.tok.col, near, "syntax error, unexpected "+kindNames[p.tok.kind], hint)
	}
	for p.tok.kind != tNewline && p.tok.kind != tEOF {
		p.advance()
	}
}

func (p *parser) statement() {
	switch p.tok.kind {
	case tNewline, tSemi:
		p.advance()
		return
	case tIdent:
	default:
		p.unexpected("a line is: key = value")
		return
	}
	s := Setting{File: p.file, Key: p.tok.str, Line: p.tok.line, Col: p.tok.col}
	p.advance()
	switch p.tok.kind {
	case tAssign:
	case tAdd:
		s.add = true
	default:
		p.unexpected("after the key " + s.Key + " there must be = or +=")
		return
	}
	p.advance()
	v, ok := p.value(0)
	if !ok {
		return
	}
	switch p.tok.kind {
	case tNewline, tSemi, tEOF:
	default:
		p.unexpected("one statement a line, or a semicolon between two")
		return
	}
	s.Value = v
	if err := p.out.put(s); err != "" {
		p.report(s.Line, s.Col, s.Key, err, "use a list for both, or a string for both")
	}
}

func (p *parser) value(depth int) (Value, bool) {
	v := Value{Line: p.tok.line, Col: p.tok.col}
	switch p.tok.kind {
	case tString, tNumber:
		v.Str = p.tok.str
		p.advance()
		return v, true
	case tOpen:
		if depth >= maxDepth {
			p.unexpected(fmt.Sprintf("lists nest at most %d deep", maxDepth))
			return v, false
		}
		return p.list(v, depth)
	}
	p.unexpected(`a value is a "string", a number or a [list]`)
	return v, false
}

func (p *parser) list(v Value, depth int) (Value, bool) {
	v.IsList = true
	p.advance()
	for {
		p.newlines()
		if p.tok.kind == tClose {
			p.advance()
			return v, true
		}
		e, ok := p.value(depth + 1)
		if !ok {
			return v, false
		}
		v.List = append(v.List, e)
		p.newlines()
		switch p.tok.kind {
		case tComma:
			p.advance()
		case tClose:
		default:
			p.unexpected(fmt.Sprintf("the list that begins in line %d needs a comma or ] here", v.Line))
			return v, false
		}
	}
}

func (p *parser) newlines() {
	for p.tok.kind == tNewline {
		p.advance()
	}
}

// put appends s, joining it with what is there if it is a +=.
func (c *Config) put(s Setting) (problem string) {
	if prev := c.Find(s.Key); s.add && prev != nil {
		if prev.Value.IsList != s.Value.IsList {
			return `can't add [list] to "string" or vice versa`
		}
		s.Value.Str = prev.Value.Str + s.Value.Str
		s.Value.List = append(append([]Value(nil), prev.Value.List...), s.Value.List...)
	}
	c.Settings = append(c.Settings, s)
	return ""
}

// Merge puts the settings of more behind those of c.
func (c *Config) Merge(more *Config) error {
	for _, s := range more.Settings {
		if msg := c.put(s); msg != "" {
			return &Errors{List: []*ParseError{{File: s.File, Line: s.Line, Col: s.Col, Near: s.Key, Msg: msg,
				Hint: "use a list for both, or a string for both"}}}
		}
	}
	return nil
}

// Find gives the setting that counts for key, or nil.
func (c *Config) Find(key string) *Setting {
	for i := len(c.Settings) - 1; i >= 0; i-- {
		if c.Settings[i].Key == key {
			return &c.Settings[i]
		}
	}
	return nil
}
