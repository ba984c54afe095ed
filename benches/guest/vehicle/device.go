package vehicle

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/link"
)

// patience is how long a guest waits for a device and for the other end of its network.
const patience = 20 * time.Second

// nic is the kernel's name of the network device.
const nic = "eth0"

// prepare makes the console one that gives bytes as they come, mounts what tells of devices, and loads the modules. What fails is told by the workloads that
// need it.
func (g *guest) prepare() {
	if t, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		t.Lflag &^= unix.ICANON | unix.ECHO
		_ = unix.IoctlSetTermios(0, unix.TCSETS, t)
	}
	if g.Disk == "" && !g.Peer.IsValid() {
		return
	}
	for dir, kind := range map[string]string{"/dev": "devtmpfs", "/sys": "sysfs"} {
		if err := unix.Mount(kind, dir, kind, 0, ""); err != nil {
			g.failed = errors.Join(g.failed, fmt.Errorf("mount %s: %w", dir, err))
		}
	}
	list, err := os.ReadFile(modulesList)
	g.failed = errors.Join(g.failed, err)
	for _, name := range strings.Fields(string(list)) {
		b, err := os.ReadFile(modulesDir + "/" + name)
		if err == nil {
			err = unix.InitModule(b, "")
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			g.failed = errors.Join(g.failed, fmt.Errorf("load the module %s: %w", name, err))
		}
	}
}

// await waits until a file is there.
func (g *guest) await(path, what string) error {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(g.failed, fmt.Errorf("no %s within %v", what, patience))
		}
	}
}

// traffic gives how many requests a disk or packets a network has had so far, and of how many bytes.
func (g *guest) traffic(of Need) (requests, bytes uint64) {
	switch of {
	case Disk: // Documentation/admin-guide/iostats.rst: reads, merged, sectors, ms; the same of writes
		b, _ := os.ReadFile("/sys/block/" + g.Disk + "/stat")
		f := strings.Fields(string(b))
		if len(f) < 7 {
			return 0, 0
		}
		return number(f[0]) + number(f[4]), (number(f[2]) + number(f[6])) * 512
	case Net:
		of := func(name string) uint64 {
			b, _ := os.ReadFile("/sys/class/net/" + nic + "/statistics/" + name)
			return number(strings.TrimSpace(string(b)))
		}
		return of("rx_packets") + of("tx_packets"), of("rx_bytes") + of("tx_bytes")
	}
	return 0, 0
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// connect sets the network up, and gives a socket that is connected to the peer.
func (g *guest) connect() (fd int, err error) {
	if !g.Peer.IsValid() {
		return -1, errors.New("there is no network in this guest")
	}
	if err := g.await("/sys/class/net/"+nic, "network device "+nic); err != nil {
		return -1, err
	}
	if err := link.SetUp(nic, g.Address); err != nil {
		return -1, err
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // the device may not be connected yet
		if fd, err = dial(g); err == nil {
			return fd, nil
		}
		if time.Now().After(end) {
			return -1, fmt.Errorf("connect to %s: %w", g.Peer, err)
		}
	}
}

// slow is how long a socket may take for anything.
const slow = 10

func dial(g *guest) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	limit := func(opt int, t unix.Timeval) error { return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &t) }
	err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), limit(unix.SO_SNDTIMEO, unix.Timeval{Usec: 300_000}))
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(g.Peer.Port()), Addr: g.Peer.Addr().As4()})
	}
	if err == nil {
		err = errors.Join(limit(unix.SO_SNDTIMEO, unix.Timeval{Sec: slow}), limit(unix.SO_RCVTIMEO, unix.Timeval{Sec: slow}))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
