package config

import "strings"

// Error is a refusal that a person can act on: what failed, which field of the configuration is the reason, why, and what
// to do. Everything but What may be empty. It travels as JSON from the domain process to xl, which knows the
// file and line of the field.
type Error struct {
	Field string `json:"field,omitempty"` // xl.cfg key, such as "kernel"
	What  string `json:"what"`            // what failed, one line
	Why   string `json:"why,omitempty"`
	Fix   string `json:"fix,omitempty"` // what to do
}

// Error gives all parts on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.What)
	if e.Why != "" {
		b.WriteString(": " + e.Why)
	}
	if e.Fix != "" {
		b.WriteString(" (" + e.Fix + ")")
	}
	return b.String()
}
