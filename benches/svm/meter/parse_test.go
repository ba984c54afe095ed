package main

import (
	"maps"
	"strings"
	"testing"
)

func TestParseHist(t *testing.T) {
	const two = `# event histogram
#
# trigger info: hist:keys=reason,errno:vals=hitcount:sort=hitcount:size=2048 [active]
#

{ reason:          2, errno:          0 } hitcount:         17
{ reason:         10, errno: 18446744073709551612 } hitcount:          3
{ reason:          0, errno:         -4 } hitcount:          2

Totals:
    Hits: 22
`
	want := counts{{2, 0}: 17, {10, -4}: 3, {0, -4}: 2}
	if got := parseHist(two, "reason,errno"); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := parseHist("{ exit_reason:        123 } hitcount:          9\n", "exit_reason"); !maps.Equal(got, counts{{123}: 9}) {
		t.Errorf("%v", got)
	}
	if got := parseHist("", "port"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestExitNames(t *testing.T) {
	for code, want := range map[int64]string{0x60: causeHost, 0x72: causeCPUID, 0x7b: "port", 0x14: "CR write", 0x46: "exception 6", 0x400: "nested page fault",
		0x999: "0x999", -1: "invalid state"} {
		if got := svmExit(code); got != want {
			t.Errorf("%#x: %s", code, got)
		}
	}
	for k, want := range map[[2]int64]string{{2, 0}: "port", {2, -4}: "signal", {10, 4}: "signal", {2, -14}: "error -14", {34, 0}: "Xen", {99, 0}: "reason 99"} {
		if got := userExit(k[0], k[1]); got != want {
			t.Errorf("%v: %s", k, got)
		}
	}
}

func TestParseSmaps(t *testing.T) {
	const text = `00400000-00a00000 r-xp 00000000 00:02 12   /bin/hypervisor
Size:               6144 kB
Rss:                4000 kB
Pss:                4000 kB
VmFlags: rd ex mr mw me sd
7f0000000000-7f0020000000 rw-p 00000000 00:00 0
Size:             524288 kB
Rss:               86180 kB
7f0030000000-7f0070000000 ---p 00000000 00:00 0
Size:            1048576 kB
Rss:                   0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Size:               4096 kB
Rss:                2100 kB
`
	all := parseSmaps(text)
	guest, rest := split(all)
	if len(all) != 4 || guest != (area{"anonymous", 524288, 86180}) || len(rest) != 3 || rest[0] != (area{"hypervisor", 6144, 4000}) || rest[2].rss != 2100 {
		t.Errorf("%v\n%v", guest, rest)
	}
	if g, r := split(nil); g.rss != 0 || r != nil {
		t.Error("of nothing something came")
	}
}

func TestParseOps(t *testing.T) {
	ops, notes, err := parseOps("Linux\nop note clock source xen\nop getpid 321.00 326.71\nop fork_exec_wait 1.5 2\nop end\nop late 1 1\n")
	if err != nil || len(ops) != 2 || ops[0] != (op{"getpid", 321, 326.71}) || len(notes) != 1 || notes[0] != "clock source xen" {
		t.Errorf("%v %v %v", ops, notes, err)
	}
	for _, text := range []string{"", "op getpid 1 2\n", "op getpid 1 x\nop end\n"} {
		if _, _, err := parseOps(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestTail(t *testing.T) {
	if got := tail("a\nb\nc\n", 2); got != "b\nc" {
		t.Error(got)
	}
	if got := tail("", 3); strings.TrimSpace(got) != "" {
		t.Error(got)
	}
}
