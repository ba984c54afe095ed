package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
)

// OpenDisk opens what a disk is on: its file, or, of an image in a format, a connection to a process that reads it, which ends with the connection.
func OpenDisk(d config.Disk) (*os.File, error) {
	if d.Served() {
		return serveImage(d)
	}
	how := os.O_RDWR
	if d.ReadOnly {
		how = os.O_RDONLY
	}
	return os.OpenFile(d.Path, how|syscall.O_NONBLOCK, 0)
}

// nbdProgram reads and writes images of many formats (Debian's package qemu-utils).
const nbdProgram = "qemu-nbd"

// nbdTime is how long it may take to open an image.
const nbdTime = 30 * time.Second

// driver gives QEMU's name of a format.
func driver(format string) string {
	if format == config.FormatVHD {
		return "vpc"
	}
	return format
}

// serveImage starts qemu-nbd for an image and connects to it.
func serveImage(d config.Disk) (*os.File, error) {
	program, err := exec.LookPath(nbdProgram)
	if err != nil {
		return nil, fmt.Errorf("%s, which reads %s images, was not found: %w", nbdProgram, d.Format, err)
	}
	listener, conn, err := meet(d.Path)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	// It takes the socket as from a service manager (sd_listen_fds(3)), and ends when its client does. The format is said, not guessed: a guest can write
	// to its disk what looks like another.
	args := []string{"--format=" + driver(d.Format), "--cache=writeback", "--aio=threads", "--discard=unmap"}
	if d.ReadOnly {
		args = append(args, "--read-only")
	}
	said, err := memoryFile("qemu-nbd errors", nil)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	defer said.Close()
	c := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh", program}, append(args, "--", d.Path)...)...)
	c.Stderr, c.ExtraFiles = said, []*os.File{listener}
	if err = startChild(c); err == nil {
		_ = c.Process.Release()
		_ = listener.Close() // its own copy is left, so that its end is the connection's
		err = awaitHello(conn, said)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// meet makes a socket that listens, and another one that has connected to it. No path leads to them afterwards.
func meet(name string) (listener, conn *os.File, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a socket: %w", err)
		}
	}()
	dir, err := os.MkdirTemp("/tmp", "gozen-") // short enough for a socket's name
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	at := &unix.SockaddrUnix{Name: filepath.Join(dir, "s")}
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	listener = os.NewFile(uintptr(l), name)
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		_ = listener.Close()
		return nil, nil, err
	}
	conn = os.NewFile(uintptr(c), name)
	for _, do := range []func() error{func() error { return unix.Bind(l, at) }, func() error { return unix.Listen(l, 1) }, func() error { return unix.Connect(c, at) }} {
		if err = do(); err != nil {
			_ = listener.Close()
			_ = conn.Close()
			return nil, nil, err
		}
	}
	return listener, conn, nil
}

// awaitHello returns when the server has begun to speak; if it ends before, with what it said.
func awaitHello(conn, said *os.File) error {
	end := time.Now().Add(nbdTime)
	for {
		p := []unix.PollFd{{Fd: int32(conn.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(p, max(int(time.Until(end)/time.Millisecond), 0))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("%s has not opened it for %v", nbdProgram, nbdTime)
		}
		var b [1]byte
		if n, _, err := unix.Recvfrom(int(conn.Fd()), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); n > 0 && err == nil {
			return nil
		}
		if text := lastWords(said); text != "" {
			return errors.New(text)
		}
		return errors.New(nbdProgram + " has ended without a word")
	}
}
