package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestOpenInitrd(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := OpenInitrd(filepath.Join(dir, "no")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, _, err := OpenInitrd(dir); err == nil {
		t.Error("a folder was accepted")
	}
	f := filepath.Join(dir, "rd")
	os.WriteFile(f, []byte("abc"), 0o600)
	rd, c, err := OpenInitrd(f)
	if err != nil || rd.Size != 3 {
		t.Fatal(rd, err)
	}
	c.Close()
}
