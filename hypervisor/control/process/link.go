package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
	"gozen/hypervisor/link"
)

// OpenLink makes what a network device is on, in a domain with so many vCPUs: a tap, whose name it gives, or a process with a network in it. There is a file for each queue.
func OpenLink(n config.NIC, vcpus int, noSandbox bool) (name string, files []*os.File, err error) {
	l := openLink(n, vcpus, noSandbox)
	if l.network != nil {
		l.network.forget()
	}
	return l.name, l.files, l.err
}

// openedLink is what a network device is on, or why there is nothing.
type openedLink struct {
	name    string
	files   []*os.File
	err     error
	network *usernet // nil for a tap
}

func openLink(n config.NIC, vcpus int, noSandbox bool) (l openedLink) {
	if n.User != nil {
		var f *os.File
		if f, l.network, l.err = openUser(n, noSandbox); l.err == nil {
			l.files = []*os.File{f}
		}
		return l
	}
	c := link.TapConfig{Name: n.Name, Bridge: n.Bridge, MTU: n.MTU, Queues: n.Queues}
	if c.Name == "" {
		c.Name = "vif%d"
	}
	if n.Script != "" { // which joins the bridge, or does something else
		c.Bridge = ""
	}
	if c.Queues == 0 {
		c.Queues = min(max(vcpus, 1), config.MaxNICQueues)
	}
	l.name, l.files, l.err = link.OpenTap(c)
	return l
}

// usernet is a network process that is ready.
type usernet struct {
	life *os.File // ends with it
	said *os.File // what it wrote on standard error
}

// forget leaves it to itself.
func (u *usernet) forget() { _, _ = u.life.Close(), u.said.Close() }

// mourn says in the log that it has ended, when it has, though the domain still has its link.
func (u *usernet) mourn(id int) {
	_, _ = io.Copy(io.Discard, u.life)
	why := lastWords(u.said)
	if why == "" {
		why = "it was killed"
	}
	fmt.Fprintf(os.Stderr, "hypervisor: the network of device %d has ended, the guest goes on without: %s\n", id, why)
	u.forget()
}

// usernetTime bounds how long a network may take to be ready. It takes milliseconds, but the host may be busy.
const usernetTime = time.Minute

// openUser starts a network process for a device and gives the socket to it. The process ends when all copies of that are closed.
func openUser(n config.NIC, noSandbox bool) (*os.File, *usernet, error) {
	program, err := findProgram("usernet", "GOZEN_USERNET", "network devices with type=user need it")
	if err != nil {
		return nil, nil, err
	}
	body, err := json.Marshal(link.UserConfig{NIC: n, NoSandbox: noSandbox})
	if err != nil {
		return nil, nil, err
	}
	in, err := memoryFile("usernet config", body)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	said, err := memoryFile("usernet errors", nil)
	if err != nil {
		return nil, nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		_ = said.Close()
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), program), os.NewFile(uintptr(pair[1]), program)
	defer theirs.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		_, _ = said.Close(), ours.Close()
		return nil, nil, err
	}
	c := exec.Command(program)
	c.Stdin, c.Stdout, c.Stderr, c.ExtraFiles = in, tell, said, []*os.File{theirs}
	err = startChild(c)
	_ = tell.Close()
	if err == nil {
		err = awaitUsernet(c, ready, said)
	}
	if err != nil {
		_, _, _ = said.Close(), ours.Close(), ready.Close()
		return nil, nil, err
	}
	return ours, &usernet{ready, said}, nil
}

// awaitUsernet waits until a network process is ready. If it never is, it is gone on return, and the error says what it said.
func awaitUsernet(c *exec.Cmd, ready, said *os.File) error {
	defer c.Process.Release()
	_ = ready.SetReadDeadline(time.Now().Add(usernetTime))
	b := make([]byte, len(link.UserReady))
	_, err := io.ReadFull(ready, b)
	if err == nil && string(b) == link.UserReady {
		return ready.SetReadDeadline(time.Time{})
	}
	_ = c.Process.Kill()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("its network was not ready in %v", usernetTime)
	}
	if text := lastWords(said); text != "" {
		return &config.Error{What: "its network cannot be made", Why: strings.TrimPrefix(text, "usernet: "),
			Fix: "check what hostfwd= asks for: ss -ltunp lists the ports that are taken, and by whom"}
	}
	return errors.New("the process of its network ended without a word")
}

// lastWords gives the begin of what a process wrote, on one line. A domain whose log it goes to was not killed by a sandbox (control.Postmortem).
func lastWords(f *os.File) string {
	b := make([]byte, 600)
	n, _ := f.ReadAt(b, 0)
	lines := strings.FieldsFunc(string(b[:n]), func(r rune) bool { return r == '\n' })
	return strings.ReplaceAll(strings.Join(lines, "; "), "killed by its sandbox", "ended by its sandbox")
}
