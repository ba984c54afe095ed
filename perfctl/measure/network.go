package measure

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/peer"
	"gozen/hypervisor/config"
	"gozen/hypervisor/link"
)

// network is a network for guests, one after the other, at whose other end this process serves them.
type network struct {
	nic    config.NIC
	guest  netip.Prefix
	peer   netip.AddrPort
	within func(start func()) // starts a domain's process so that it can have nic
	close  func()
}

// openNetwork makes a network. This is the one place that knows what kind it is.
func openNetwork() (*network, error) { return openBridge(tun) }

// tun is what taps are made by.
const tun = "/dev/net/tun"

// The bridge in its own network namespace. Nobody else is there, so names and addresses are free.
const (
	bridge      = "br0"
	hostAddress = "10.77.0.1"
	guestNet    = "10.77.0.2/24"
	peerPort    = 7777
)

// asRoot says what to do where a right is missing.
const asRoot = "run perfctl as root, or by unshare --user --map-root-user"

// openBridge makes a network namespace with a bridge, on a thread of its own. The namespace goes with the thread and with the last process in it: nothing has to be cleaned
// up, however this process ends.
func openBridge(tun string) (*network, error) {
	f, err := os.OpenFile(tun, os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("a network for the guest needs %s, which is not there: modprobe tun", tun)
	case err != nil:
		return nil, fmt.Errorf("a network for the guest: %w: %s", err, asRoot)
	}
	_ = f.Close()
	jobs, ready := make(chan func()), make(chan error)
	var l net.Listener
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var err error
		if l, err = makeBridge(); err != nil {
			ready <- err
			return
		}
		close(ready)
		for job := range jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("a network for the guest: %w", err)
	}
	go peer.Serve(l, func(error) {}) // what goes wrong the guest tells
	return &network{
		nic:   config.NIC{Bridge: bridge, MAC: "00:16:3e:00:00:01"},
		guest: netip.MustParsePrefix(guestNet),
		peer:  netip.AddrPortFrom(netip.MustParseAddr(hostAddress), peerPort),
		within: func(start func()) {
			done := make(chan struct{})
			jobs <- func() { defer close(done); start() }
			<-done
		},
		close: func() { _ = l.Close(); close(jobs) },
	}, nil
}

// makeBridge puts the calling thread into a new network namespace, with a bridge, and gives a listener there.
func makeBridge() (net.Listener, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			return nil, errors.New("this needs CAP_SYS_ADMIN and CAP_NET_ADMIN: " + asRoot)
		}
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	if err := link.AddBridge(bridge); err != nil {
		if errors.Is(err, unix.EPERM) {
			return nil, errors.New("this needs CAP_NET_ADMIN: " + asRoot)
		}
		return nil, err
	}
	bits := netip.MustParsePrefix(guestNet).Bits()
	if err := link.SetUp(bridge, netip.PrefixFrom(netip.MustParseAddr(hostAddress), bits)); err != nil {
		return nil, err
	}
	return net.Listen("tcp4", fmt.Sprintf("%s:%d", hostAddress, peerPort))
}
