package layers

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "gozen"

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath, Name, Dir             string
	Imports, Deps                     []string
	GoFiles, IgnoredGoFiles, CgoFiles []string
	TestGoFiles, XTestGoFiles         []string
	DepsErrors, Error                 any
}

// list asks the go tool, for a host architecture.
func list(t *testing.T, arch string, args ...string) []pkg {
	t.Helper()
	c := exec.Command("go", append([]string{"list", "-e", "-json=ImportPath,Name,Dir,Imports,Deps,GoFiles,IgnoredGoFiles,CgoFiles,TestGoFiles,XTestGoFiles"}, args...)...)
	c.Env = append(os.Environ(), "GOARCH="+arch, "GOOS=linux", "CGO_ENABLED=0")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func arches() []string { return []string{"amd64", "arm64"} }

// short takes the module's name off an import path; ok says that the package is ours.
func short(path string) (string, bool) {
	return strings.CutPrefix(path, module+"/")
}

func TestRanks(t *testing.T) {
	for _, arch := range arches() {
		for _, p := range list(t, arch, module+"/...") {
			name, _ := short(p.ImportPath)
			rank, ok := ranks[name]
			if !ok {
				t.Errorf("%s has no row in the table (ci/layers/table_test.go)", name)
				continue
			}
			for _, i := range p.Imports {
				other, ours := short(i)
				if !ours {
					continue
				}
				if r, ok := ranks[other]; ok && r >= rank {
					t.Errorf("%s: %s (rank %d) imports %s (rank %d)", arch, name, rank, other, r)
				}
			}
		}
	}
}

func TestKeptOut(t *testing.T) {
	for program, prefixes := range keptOut {
		for _, arch := range arches() {
			for _, d := range list(t, arch, module+"/"+program)[0].Deps {
				for _, x := range prefixes {
					if d == x || strings.HasPrefix(d, strings.TrimSuffix(x, "/")+"/") {
						t.Errorf("%s: %s is linked into bin/%s", arch, d, program)
					}
				}
			}
		}
	}
}

// TestSources checks what needs the files themselves.
func TestSources(t *testing.T) {
	fset := token.NewFileSet()
	for _, p := range list(t, "amd64", module+"/...") {
		if len(p.CgoFiles) > 0 {
			t.Errorf("%s uses cgo: %v", p.ImportPath, p.CgoFiles)
		}
		documented := p.Name == "main" || len(p.GoFiles) == 0
		for _, name := range append(p.GoFiles, p.IgnoredGoFiles...) {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Error(err)
				continue
			}
			documented = documented || f.Doc != nil
			checkFile(t, filepath.Join(p.ImportPath, name), f)
		}
		if !documented {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func checkFile(t *testing.T, name string, f *ast.File) {
	for _, i := range f.Imports {
		switch path := strings.Trim(i.Path.Value, `"`); {
		case path == "C":
			t.Errorf("%s imports C", name)
		case path == "unsafe" && !strings.HasSuffix(name, "_unsafe.go"):
			t.Errorf("%s imports unsafe: only files ending in _unsafe.go may", name)
		}
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			t.Errorf("%s has an init function", name)
		}
	}
}
