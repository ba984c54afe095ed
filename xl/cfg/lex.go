package cfg

import (
	"fmt"
	"strconv"
	"strings"
)

type kind uint8

const (
	tEOF kind = iota
	tNewline
	tSemi
	tIdent
	tNumber
	tString
	tAssign
	tAdd
	tComma
	tOpen
	tClose
	tBad // lexical error, already reported
)

// kindNames are the names in "syntax error, unexpected ...".
var kindNames = [...]string{"end of file", "NEWLINE", "';'", "IDENT", "NUMBER", "STRING", "'='", "OP_ADD", "','", "'['", "']'", ""}

type token struct {
	kind      kind
	text      string // as written
	str       string // value of a string, number or identifier
	line, col int    // from 1; columns count bytes
}

type lexer struct {
	src       string
	at        int
	line      int
	lineStart int
	python    bool
	report    func(line, col int, near, msg, hint string)
}

func isIdent(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_'
}

// next gives the next token. After a lexical error it goes on behind the bad word, as xl's scanner does.
func (l *lexer) next() token {
	for l.at < len(l.src) && (l.src[l.at] == ' ' || l.src[l.at] == '\t') {
		l.at++
	}
	t := token{line: l.line, col: l.at - l.lineStart + 1}
	if l.at >= len(l.src) {
		return t
	}
	start := l.at
	single := func(k kind, n int) token {
		l.at += n
		t.kind, t.text = k, l.src[start:l.at]
		return t
	}
	switch c := l.src[l.at]; {
	case c == '\n':
		return l.newline(t)
	case c == '\r' && strings.HasPrefix(l.src[l.at:], "\r\n"):
		l.at++
		return l.newline(t)
	case c == '#':
		if i := strings.IndexByte(l.src[l.at:], '\n'); i >= 0 {
			l.at += i
			return l.newline(t)
		}
		l.at = len(l.src) // xl wants a newline after a comment; we do not
		return t
	case c == ',':
		return single(tComma, 1)
	case c == '[':
		return single(tOpen, 1)
	case c == ']':
		return single(tClose, 1)
	case c == ';':
		return single(tSemi, 1)
	case c == '=':
		return single(tAssign, 1)
	case c == '+' && strings.HasPrefix(l.src[l.at:], "+="):
		return single(tAdd, 2)
	case c >= 'a' && c <= 'z':
		for l.at < len(l.src) && isIdent(l.src[l.at]) {
			l.at++
		}
		t.kind, t.text = tIdent, l.src[start:l.at]
		t.str = t.text
		return t
	case c >= '0' && c <= '9':
		for l.at < len(l.src) && (l.src[l.at] >= '0' && l.src[l.at] <= '9' || l.src[l.at] >= 'a' && l.src[l.at] <= 'f' || l.src[l.at] == 'x') {
			l.at++
		}
		t.kind, t.text = tNumber, l.src[start:l.at]
		t.str = t.text
		return t
	case c == '"' || c == '\'':
		return l.quoted(t, c)
	}
	c := l.src[l.at]
	hint := fmt.Sprintf("%q has no meaning here", rune(c))
	switch {
	case strings.IndexByte("+-.():", c) >= 0:
		l.python = true
		hint = "values are strings in quotes, numbers or lists: no expressions"
	case c >= 'A' && c <= 'Z':
		hint = "keys are lower case, and strings need quotes"
	case c >= 0x80:
		hint = "only plain quotes and ASCII may stand outside of strings"
	}
	return l.bad(t, hint)
}

func (l *lexer) newline(t token) token {
	t.kind, t.text = tNewline, "\n"
	l.at++
	l.line++
	l.lineStart = l.at
	return t
}

// bad reports the word at the present position and skips it.
func (l *lexer) bad(t token, hint string) token {
	start := l.at
	for l.at++; l.at < len(l.src) && strings.IndexByte(" \t\n", l.src[l.at]) < 0; l.at++ {
	}
	t.kind, t.text = tBad, strings.TrimRight(l.src[start:l.at], "\r")
	l.report(t.line, t.col, t.text, "lexical error", hint)
	return t
}

func (l *lexer) quoted(t token, q byte) token {
	start := l.at
	end := start + 1
	for end < len(l.src) && l.src[end] != q && l.src[end] != '\n' {
		if l.src[end] == '\\' && end+1 < len(l.src) && l.src[end+1] != '\n' {
			end++
		}
		end++
	}
	if end >= len(l.src) || l.src[end] != q {
		return l.bad(t, "a string must end with the quote it began with, on the same line")
	}
	l.at = end + 1
	t.kind, t.text = tString, l.src[start:l.at]
	str, msg := dequote(l.src[start+1 : end])
	if msg != "" {
		t.kind = tBad
		l.report(t.line, t.col, t.text, msg, `known escapes: \" \' \\ \a \b \f \n \r \t \v, \xHH and up to three octal digits`)
	}
	t.str = str
	return t
}

// dequote resolves the escapes of a string.
func dequote(s string) (out, msg string) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, ""
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		c := s[i] // the scanner saw a byte after each backslash
		if k := strings.IndexByte(`"'\abfnrtv`, c); k >= 0 {
			b.WriteByte("\"'\\\a\b\f\n\r\t\v"[k])
			continue
		}
		digits, base, name := 0, 8, "octal"
		if c == 'x' {
			base, name = 16, "hex"
			i++
		} else if c < '0' || c > '7' {
			return "", "invalid character after backlash in quoted string"
		}
		most := 3
		if base == 16 {
			most = 2
		}
		for digits < most && i+digits < len(s) {
			if _, err := strconv.ParseUint(s[i+digits:i+digits+1], base, 8); err != nil {
				break
			}
			digits++
		}
		v, err := strconv.ParseUint(s[i:i+digits], base, 8)
		if err != nil || base == 16 && digits != 2 {
			return "", "invalid digit after backslash " + name + " numerical character escape in quoted string"
		}
		b.WriteByte(byte(v))
		i += digits - 1
	}
	return b.String(), ""
}
