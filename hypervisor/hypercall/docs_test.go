package hypercall

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/hypercalls.md")

const docFile = "../../docs/hypercalls.md"

func printTable() string {
	var b strings.Builder
	b.WriteString("# Hypercalls\n\nMade from `hypervisor/hypercall/table.go` by `go test ./hypervisor/hypercall -run Docs -update`; a test compares.\n\n" +
		"The interface is Xen " + "4.17's, for PVH domains. *supported*: works. *partial*: works, within the limits of the note. *refused*: answers an error by rule, as Xen does\n" +
		"for an unprivileged PVH domain. *none*: answers -ENOSYS. Every call is counted by number and operation, whatever it answers.\n\n" +
		"| nr | hypercall | support | note |\n| --- | --- | --- | --- |\n")
	printRows(&b, &table, "")
	b.WriteString("\n# Hypercalls of arm64 guests\n\nBy `HVC #0xEA1`, number in x16. What is not listed answers -ENOSYS.\n\n" +
		"| nr | hypercall | support | note |\n| --- | --- | --- | --- |\n")
	t := tableA64
	for i := range t {
		if t[i].support == None && t[i].subMask == 0 {
			t[i].name = ""
		}
	}
	printRows(&b, &t, " of arm64")
	return b.String()
}

func printRows(b *strings.Builder, t *[64]row, suffix string) {
	for nr, r := range t {
		if r.name != "" {
			fmt.Fprintf(b, "| %d | %s | %s | %s |\n", nr, r.name, r.support, r.note)
		}
	}
	for nr, r := range t {
		if len(r.subs) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n## %s (%d)%s\n\n| op | name | support | note |\n| --- | --- | --- | --- |\n", r.name, nr, suffix)
		for _, s := range r.subs {
			fmt.Fprintf(b, "| %d | %s | %s | %s |\n", s.nr, s.name, s.support, s.note)
		}
	}
}

func TestDocs_current(t *testing.T) {
	want := printTable()
	if *update {
		if err := os.WriteFile(docFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not current: run go test ./hypervisor/hypercall -run Docs -update", docFile)
	}
}
