package hypercall

import "gozen/hypervisor/xen"

// Row describes a hypercall, or one sub-operation of it, for programs that print or test the table.
type Row struct {
	Nr      uint64
	Name    string
	Support Support
	Note    string
	Answer  xen.Errno // of a hypercall that is not implemented
	Subs    []Row     // by sub-operation; nil for a hypercall that has none
}

// Rows gives the table in order of numbers, without numbers that Xen does not use.
func Rows() []Row {
	var out []Row
	for nr, r := range table {
		if r.name == "" {
			continue
		}
		o := Row{Nr: uint64(nr), Name: r.name, Support: r.support, Note: r.note, Answer: r.refuse}
		for _, s := range r.subs {
			o.Subs = append(o.Subs, Row{Nr: s.nr, Name: s.name, Support: s.support, Note: s.note})
		}
		out = append(out, o)
	}
	return out
}
