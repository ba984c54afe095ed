package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gozen/ci/testbed"
)

// onSVM runs this program on an emulated host. Its lines come as they are printed.
func onSVM(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "gozen-hostile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self := filepath.Join(dir, "hostile")
	if err := testbed.SVM.Build(ctx, self, "gozen/ci/hostile"); err != nil {
		return err
	}
	script := fmt.Sprintf("exec hostile -engine kvm -time %v -seed %d -n %d -v=%v", o.time, o.seed, o.n, o.verbose)
	_, err = testbed.Run(ctx, testbed.Spec{Kind: testbed.SVM, HostKernel: "6.12-cloud", Files: map[string]string{"/bin/hostile": self}, Output: os.Stdout,
		Jobs: []testbed.Job{{Name: "hostile", Script: script}}, Timeout: o.time + 20*time.Minute}, os.Stderr)
	return err
}
