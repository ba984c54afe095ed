package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"a/x_test.go":          "package a\nfunc FuzzOne() {}\nfunc TestTwo() {}\n",
		"a/b/y_test.go":        "package b\nfunc FuzzThree() {}\n",
		"a/c.go":               "package a\nfunc FuzzNot() {}\n",
		".cache/z_test.go":     "package z\nfunc FuzzNot() {}\n",
		"a/testdata/t_test.go": "not Go",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := find(root)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]target{{"a/b", "FuzzThree"}, {"a", "FuzzOne"}}, got, cmp.AllowUnexported(target{})); d != "" {
		t.Error(d)
	}
}
