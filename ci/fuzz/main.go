// Command fuzz runs every Fuzz function of the repository for a while, one after the other: the parsers of untrusted bytes.
//
// Usage: fuzz [-time 10s] [-run REGEXP]
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// target is one Fuzz function.
type target struct{ dir, name string }

func main() {
	each := flag.Duration("time", 10*time.Second, "for each function")
	run := flag.String("run", "", "only functions whose FOLDER/NAME matches")
	flag.Parse()
	re, err := regexp.Compile(*run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz: -run:", err)
		os.Exit(2)
	}
	targets, err := find(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(2)
	}
	failed, ran := 0, 0
	for _, t := range targets {
		if !re.MatchString(t.dir + "/" + t.name) {
			continue
		}
		fmt.Printf("=== %s %s, %v\n", t.dir, t.name, *each)
		ran++
		c := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), "./"+t.dir)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			fmt.Printf("=== FAILED: %s %s: %v\n", t.dir, t.name, err)
			failed++
		}
	}
	if failed > 0 || ran == 0 {
		fmt.Printf("target fuzz-functions-failed %d of %d (limit 0 of at least 1) MISSED\n", failed, ran)
		os.Exit(1)
	}
	fmt.Printf("target fuzz-functions-failed %d of %d (limit 0 of at least 1) ok\n", failed, ran)
}

// find gives the Fuzz functions below root, by folder.
func find(root string) (out []target, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
				rel, err := filepath.Rel(root, filepath.Dir(path))
				if err != nil {
					return err
				}
				out = append(out, target{filepath.ToSlash(rel), fn.Name.Name})
			}
		}
		return nil
	})
	return out, err
}
