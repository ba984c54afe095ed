package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/control"
)

// ctrlBracket is ^], the key that leaves the console.
const ctrlBracket = 0x1d

func (a *app) console(c *call) int {
	escape, from := byte(ctrlBracket), int64(-1)
	bad := ""
	args, rc := a.parse(c, options{short: "t:n:e:L", long: map[string]byte{"log": 'L', "escape": 'e', "type": 't'}, need: 1}, func(o byte, v string) {
		switch o {
		case 't':
			if v != "pv" {
				bad = "console type " + v + " is not available yet: a domain has the pv console only"
			}
		case 'n':
			if v != "0" {
				bad = "console number " + v + " does not exist: a domain has console 0 only"
			}
		case 'e':
			e, ok := escapeKey(v)
			if !ok {
				bad = "escape character " + v + " is not one: give a character, or ^ and a letter"
			}
			escape = e
		case 'L':
			from = 0
		}
	})
	if rc != noReturn {
		return rc
	}
	if bad != "" {
		a.say("xl: %s", bad)
		return exitUsage
	}
	f, ok := a.findGuest(args[0], "open a console of")
	if !ok {
		return exitFail
	}
	cl := control.NewClient(f.Dir)
	defer cl.Close()
	if _, err := a.attach(cl, from, escape, func() {}); err != nil {
		a.failed(f, "console", err)
		return exitFail
	}
	return exitOK
}

// escapeKey reads "x" or "^X".
func escapeKey(s string) (byte, bool) {
	switch {
	case len(s) == 1:
		return s[0], true
	case len(s) == 2 && s[0] == '^':
		if c := strings.ToUpper(s)[1]; c >= '@' && c <= '_' {
			return c & 0x1f, true
		}
	}
	return 0, false
}

// attach shows a console until the domain ends or the escape key is pressed; attached is called once the console is open. Without
// a terminal it works as well, and the end of standard input does not end it.
func (a *app) attach(cl *control.Client, from int64, escape byte, attached func()) (detached bool, err error) {
	conn, err := cl.Console(context.Background(), from)
	if err != nil {
		attached()
		return false, err
	}
	defer conn.Close()
	restore := rawMode(a.in)
	defer restore()
	var left atomic.Bool
	over := make(chan struct{})
	defer close(over)
	go func() {
		if a.feed(conn, escape, over) {
			left.Store(true)
			conn.Close()
		}
	}()
	attached()
	_, err = io.Copy(a.out, conn)
	if left.Load() {
		return true, nil
	}
	return false, err
}

// feed sends keys to the guest until over is closed. It says whether the escape key was pressed.
func (a *app) feed(conn io.Writer, escape byte, over <-chan struct{}) bool {
	if a.keys == nil {
		a.keys = readKeys(a.in)
	}
	for {
		select {
		case p := <-a.keys:
			if p == nil { // the end of input ends nothing
				a.keys = make(chan []byte)
				continue
			}
			i := bytes.IndexByte(p, escape)
			if i >= 0 {
				p = p[:i]
			}
			if _, err := conn.Write(p); i >= 0 || err != nil {
				return i >= 0
			}
		case <-over:
			return false
		}
	}
}

// readKeys reads in for the whole life of xl: several consoles may follow each other, and a read cannot be taken back.
func readKeys(in io.Reader) chan []byte {
	keys := make(chan []byte)
	go func() {
		for {
			p := make([]byte, 1024)
			n, err := in.Read(p)
			if n > 0 {
				keys <- p[:n]
			}
			if err != nil {
				close(keys)
				return
			}
		}
	}()
	return keys
}

// rawMode passes keys on one by one and unchanged, if in is a terminal, until the function it gives is called.
func rawMode(in *os.File) (restore func()) {
	fd := int(in.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	raw := *old
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, unix.TCSETSW, &raw) != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETSW, old) }
}
