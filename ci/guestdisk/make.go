package guestdisk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tools are the programs that it takes, and Debian's packages that have them.
var tools = map[string]string{"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "tar": "tar"}

// Make builds the disk if it is not there. Progress goes to log. It needs root, since files of the system belong to several users.
func Make(ctx context.Context, log io.Writer) (Disk, error) {
	if d, err := Find(); !errors.Is(err, ErrMissing) {
		return d, err
	}
	if err := install(ctx, log); err != nil {
		return Disk{}, err
	}
	dir, err := folder()
	if err != nil {
		return Disk{}, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Disk{}, err
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), "part-")
	if err != nil {
		return Disk{}, err
	}
	defer os.RemoveAll(part)
	if err := fill(ctx, log, part); err != nil {
		return Disk{}, err
	}
	if err := os.Rename(part, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return Disk{}, err
	}
	return Find()
}

// fill makes the files in a folder.
func fill(ctx context.Context, log io.Writer, dir string) error {
	tar, tree := filepath.Join(dir, "system.tar"), filepath.Join(dir, "system")
	say := func(what string) { fmt.Fprintf(log, "guest-disk: %s\n", what) }
	say("installing Debian " + suite + " into a folder (mmdebstrap; some minutes)")
	if err := run(ctx, log, "mmdebstrap", "--quiet", "--variant=minbase", "--include="+strings.Join(packages, ","), "--customize-hook="+setUp, suite, tar); err != nil {
		return err
	}
	say("making the file system")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	if err := run(ctx, log, "tar", "-xf", tar, "-C", tree, "--exclude=./dev/*"); err != nil {
		return err
	}
	for to, pattern := range map[string]string{"vmlinuz": "vmlinuz-*", "initrd.img": "initrd.img-*"} {
		found, err := filepath.Glob(filepath.Join(tree, "boot", pattern))
		if err != nil || len(found) != 1 {
			return fmt.Errorf("%d files /boot/%s in the new system, want one", len(found), pattern)
		}
		b, err := os.ReadFile(found[0])
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o644); err != nil {
			return err
		}
		if to == "vmlinuz" {
			if err := bootLoader(tree, found[0]); err != nil {
				return err
			}
		}
	}
	disk := filepath.Join(dir, "disk.img")
	if err := makeDisk(disk); err != nil {
		return err
	}
	if err := run(ctx, log, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-U", rootUUID, "-E", fmt.Sprintf("offset=%d", RootOffset), "-d", tree, disk,
		fmt.Sprintf("%dk", rootSize*sector>>10)); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(tree), os.Remove(tar))
}

// install gets the tools, as root, or names them.
func install(ctx context.Context, log io.Writer) error {
	if os.Geteuid() != 0 {
		return errors.New("a guest disk is made by root: its files belong to several users")
	}
	var want []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			want = append(want, pkg)
		}
	}
	if len(want) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("the Debian packages %s are missing, and there is no apt-get here", strings.Join(want, " "))
	}
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, want...)} {
		if err := run(ctx, log, "apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=600"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// run runs a program; what it prints is shown where it fails.
func run(ctx context.Context, log io.Writer, name string, args ...string) error {
	began := time.Now()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out[max(0, len(out)-4000):])
	}
	fmt.Fprintf(log, "guest-disk: %s took %.0f s\n", name, time.Since(began).Seconds())
	return nil
}
