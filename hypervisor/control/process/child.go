package process

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// startChild starts a program that nobody waits for: it lives in a session of its own, with no folder in its way.
func startChild(c *exec.Cmd) error {
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c.Start()
}

// forgetChildren has the kernel itself forget children of this process when they end, since a domain's process may not ask after them once it is in its sandbox.
func forgetChildren() { signal.Ignore(syscall.SIGCHLD) }

// memoryFile makes a file without a name that holds content, to be read from its start.
func memoryFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(content, 0); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
