package fuzz

import (
	"os"
	"testing"
)

const corpusFile = "testdata/silicon.gob.gz"

func readCorpus(t *testing.T) []Record {
	t.Helper()
	f, err := os.Open(corpusFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rs, err := ReadCorpus(f)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// TestCorpus compares the software CPU with what a processor gave, on every host.
func TestCorpus(t *testing.T) {
	rs := readCorpus(t)
	p, err := NewReplayer()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	bad := 0
	for i := range rs {
		if d := p.Replay(&rs[i]); d != nil {
			t.Errorf("%s (%s): % x\n\t%q", rs[i].Name, rs[i].Vendor, rs[i].Code, d)
			if bad++; bad == 20 {
				t.Fatal("and so on")
			}
		}
	}
	t.Logf("%d cases", len(rs))
}

// TestCorpus_hasEveryForm: each form that is compared has a record, made with -update on a Linux x86-64 host.
func TestCorpus_hasEveryForm(t *testing.T) {
	have := map[string]bool{}
	for _, r := range readCorpus(t) {
		have[r.Name] = true
	}
	forms, out := Forms()
	for i := range forms {
		if n := Name(&forms[i].Encoding); !have[n] {
			t.Errorf("%s is not in the corpus", n)
		}
	}
	for i := range out {
		if out[i].Why == "" {
			t.Errorf("%s is left out for no reason", Name(&out[i].Encoding))
		}
	}
}
