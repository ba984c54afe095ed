package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Build compiles a program of this module, or another that go build takes, to a static binary for the testbed's host. pkg is what go build would
// take in the working folder.
func (k Kind) Build(ctx context.Context, to, pkg string) error {
	return k.compile(ctx, "build", "-trimpath", "-o", to, pkg)
}

// BuildTest compiles the tests of a package, as go test -c does.
func (k Kind) BuildTest(ctx context.Context, to, pkg string) error {
	return k.compile(ctx, "test", "-c", "-trimpath", "-o", to, pkg)
}

func (k Kind) compile(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, "go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+k.Arch())
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v for %s: %w\n%s", args, k.Arch(), err, out)
	}
	return nil
}
