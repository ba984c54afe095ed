package sample

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRun_countsItsOwn(t *testing.T) {
	thread := 0
	c, err := Run(100, func(id int) { thread = id })
	if errors.Is(err, ErrNone) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.Ports != 100 || c.MMIO != 99 || c.MSRs != 99 || c.Runs != 199+c.Signals || thread <= 0 {
		t.Errorf("%+v on thread %d", c, thread)
	}
}
