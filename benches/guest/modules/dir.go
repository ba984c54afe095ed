package modules

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// Dir is a folder of modules.
type Dir struct {
	path    string
	files   map[string]string // by name
	builtin []string          // names of what the kernel has without a module
}

// Module is one of them, unpacked.
type Module struct {
	Name    string
	Content []byte
}

// ErrMissing is wrapped where a folder has no module of a name.
var ErrMissing = errors.New("no such module")

// maxModule is larger than any module.
const maxModule = 256 << 20

// Open looks through a folder.
func Open(dir string) (*Dir, error) {
	d := &Dir{path: dir, files: map[string]string{}}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if stem, ending, ok := strings.Cut(e.Name(), ".ko"); ok && slices.Contains([]string{"", ".xz", ".zst", ".gz"}, ending) {
			d.files[Name(stem)] = p
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for modules: %w", err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin")) // "kernel/drivers/block/xen-blkfront.ko"
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for modules: %w", err)
	}
	for _, l := range strings.Fields(string(list)) {
		d.builtin = append(d.builtin, Name(strings.TrimSuffix(path.Base(l), ".ko")))
	}
	return d, nil
}

// Read gives a module's content. If there is no such module the error wraps ErrMissing.
func (d *Dir) Read(name string) ([]byte, error) {
	p, ok := d.files[Name(name)]
	if !ok {
		return nil, fmt.Errorf("%w: %s in %s", ErrMissing, name, d.path)
	}
	b, err := read(p)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", p, err)
	}
	return b, nil
}

// Load gives modules, and those that they need, in an order in which they can be loaded. What the kernel has built in is left out.
func (d *Dir) Load(names ...string) ([]Module, error) {
	content := map[string][]byte{}
	names = slices.DeleteFunc(slices.Clone(names), d.has)
	order, err := Order(names, func(name string) ([]string, error) {
		b, err := d.Read(name)
		if err != nil {
			return nil, err
		}
		content[name] = b
		needs, err := Depends(b)
		return slices.DeleteFunc(needs, d.has), err
	})
	var out []Module
	for _, n := range order {
		out = append(out, Module{n, content[n]})
	}
	return out, err
}

func (d *Dir) has(name string) bool { return slices.Contains(d.builtin, Name(name)) }

// read gives what is in a file, which may be packed.
func read(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r io.Reader
	switch filepath.Ext(file) {
	case ".xz":
		r, err = xz.NewReader(bytes.NewReader(b), 0)
	case ".gz":
		r, err = gzip.NewReader(bytes.NewReader(b))
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxModule))
}
