package backend

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// PTY is a pseudo-terminal that shows a guest's console to other programs, as xenconsoled's do.
type PTY struct {
	master *os.File
	slave  *os.File // kept open, so that the terminal outlives its users
	path   string
	wg     sync.WaitGroup
	quit   chan struct{}
	once   sync.Once
}

// OpenPTY makes a pseudo-terminal in raw mode.
func OpenPTY() (*PTY, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	p := &PTY{master: os.NewFile(uintptr(fd), "/dev/ptmx"), quit: make(chan struct{})}
	if err := p.setUp(fd); err != nil {
		p.master.Close()
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	return p, nil
}

func (p *PTY) setUp(fd int) error {
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	p.path = fmt.Sprintf("/dev/pts/%d", n)
	if p.slave, err = os.OpenFile(p.path, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return err
	}
	t, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err == nil { // cfmakeraw
		t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
		err = unix.IoctlSetTermios(int(p.slave.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		p.slave.Close()
	}
	return err
}

// Path gives the name of the terminal's device, for console/tty in xenstore.
func (p *PTY) Path() string { return p.path }

// Input takes what is typed, as a Console does: fewer bytes than given when there is no room, which InputRoom tells of.
type Input interface {
	Write(p []byte) (int, error)
	InputRoom() <-chan struct{}
}

// Serve copies out, the guest's output as from control.ConsoleLog.Subscribe, to the terminal and what is typed there to c,
// until Close. When nobody reads the terminal its part of the output waits; nothing else does.
func (p *PTY) Serve(out io.ReadCloser, c Input) {
	p.wg.Add(3)
	go func() {
		defer p.wg.Done()
		_, _ = io.Copy(p.master, out)
	}()
	go func() {
		defer p.wg.Done()
		<-p.quit
		out.Close()
	}()
	go func() {
		defer p.wg.Done()
		p.typed(c)
	}()
}

// typed feeds the guest with what is typed, waiting where it does not read.
func (p *PTY) typed(c Input) {
	buf := make([]byte, 1024)
	for {
		n, err := p.master.Read(buf)
		if err != nil {
			return
		}
		for rest := buf[:n]; len(rest) > 0; {
			m, err := c.Write(rest)
			if err != nil {
				return
			}
			if rest = rest[m:]; len(rest) == 0 {
				break
			}
			select {
			case <-c.InputRoom():
			case <-p.quit:
				return
			}
		}
	}
}

// Close removes the terminal and waits for Serve's goroutines.
func (p *PTY) Close() error {
	p.once.Do(func() {
		close(p.quit)
		p.master.Close()
		p.slave.Close()
	})
	p.wg.Wait()
	return nil
}
