package main

import (
	"bytes"
	"strings"
	"testing"

	"gozen/benches/svm"
)

func TestBoots(t *testing.T) {
	p := &plan{files: map[string]string{meter: "m", opsC: "o", vmlinux: "v"}}
	got := map[string]bool{}
	for _, b := range p.boots(svm.Hosts()) {
		for _, j := range b.jobs {
			if name := b.host + " " + j.Name; got[name] {
				t.Errorf("%s is there twice", name)
			}
			got[b.host+" "+j.Name] = true
			if !strings.HasPrefix(j.Script, "exec meter ") {
				t.Errorf("%s: %s", j.Name, j.Script)
			}
		}
		if bare := strings.HasPrefix(b.title, "bare"); bare != (len(b.files) == 2) || len(p.files) != 3 {
			t.Errorf("%s: files %v", b.title, b.files)
		}
	}
	for _, want := range []string{"6.1 boot-gozen", "6.1 boot-qemu", "6.1 bare-operations", "6.12 operations-native"} {
		if !got[want] {
			t.Errorf("there is no job %s", want)
		}
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	heard := 0
	p := &progress{to: &b, heard: func() { heard++ }}
	for _, s := range []string{"a no", "te\r\n{\"name\":\"gozen/boot", "-ms\",\"value\":1400.126}\nrest"} {
		if n, err := p.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := "  a note\n  gozen/boot-ms 1400.13\n"; b.String() != want || heard != 3 {
		t.Errorf("%q, heard %d times", b.String(), heard)
	}
}
