package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// TapConfig says which tap to make.
type TapConfig struct {
	// Name is the interface's; "%d" in it is replaced by a number.
	Name string
	// Bridge is what the interface joins; "" for none.
	Bridge string
	MTU    int
	// Queues is how many files the tap has, at least 1.
	Queues int
}

// tunFile is the device that taps are made by.
const tunFile = "/dev/net/tun"

// offloads are what a guest may leave to others: TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN (linux/if_tun.h).
const offloads = 1 | 2 | 4 | 8

// OpenTap makes a tap and gives its name and a file for each queue. It is gone when all files are closed. It needs CAP_NET_ADMIN.
func OpenTap(c TapConfig) (name string, files []*os.File, err error) {
	defer func() {
		if err != nil {
			CloseAll(files)
			files = nil
			err = fmt.Errorf("make the tap %s: %w", name, err)
		}
	}()
	name = c.Name
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if c.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	for range max(c.Queues, 1) {
		fd, err := unix.Open(tunFile, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return name, files, &os.PathError{Op: "open", Path: tunFile, Err: err}
		}
		files = append(files, os.NewFile(uintptr(fd), tunFile))
		r, err := unix.NewIfreq(name)
		if err != nil {
			return name, files, fmt.Errorf("the name: %w", err)
		}
		r.SetUint16(flags)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
			return name, files, explainTap(err)
		}
		name = r.Name()
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, HeaderSize); err != nil {
			return name, files, fmt.Errorf("set the size of headers: %w", err)
		}
		if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads); err != nil {
			return name, files, fmt.Errorf("set offloads: %w", err)
		}
	}
	return name, files, join(name, c.Bridge, c.MTU)
}

func explainTap(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: this needs CAP_NET_ADMIN", err)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EINVAL): // a tap, or another interface
		return fmt.Errorf("%w: there is an interface of that name already", err)
	}
	return err
}

// CloseAll gives files back.
func CloseAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// join sets an interface up, as part of a bridge.
func join(name, bridge string, mtu int) error {
	return ask(name, func(fd int, r *unix.Ifreq) error {
		if mtu > 0 {
			r.SetUint32(uint32(mtu))
			if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, r); err != nil {
				return fmt.Errorf("set its MTU to %d: %w", mtu, err)
			}
		}
		if bridge != "" {
			if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
				return fmt.Errorf("find its index: %w", err)
			}
			if err := addTo(fd, bridge, r.Uint32()); err != nil {
				return err
			}
		}
		return up(fd, r)
	})
}

// addTo puts the interface with an index into a bridge.
func addTo(fd int, bridge string, index uint32) error {
	b, err := unix.NewIfreq(bridge)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", bridge, err)
	}
	b.SetUint32(index)
	switch err := unix.IoctlIfreq(fd, unix.SIOCBRADDIF, b); {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("there is no bridge %s", bridge)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s is not a bridge", bridge)
	case err != nil:
		return fmt.Errorf("join the bridge %s: %w", bridge, err)
	}
	return nil
}

// SetUp sets an interface of the host up. With an address that is not the zero value, it gets that before. It needs CAP_NET_ADMIN.
func SetUp(name string, address netip.Prefix) error {
	return ask(name, func(fd int, r *unix.Ifreq) error {
		if address.IsValid() {
			mask := net.CIDRMask(address.Bits(), 32)
			for _, s := range []struct {
				req uint
				ip  []byte
			}{{unix.SIOCSIFADDR, address.Addr().AsSlice()}, {unix.SIOCSIFNETMASK, mask}} {
				if err := r.SetInet4Addr(s.ip); err != nil {
					return fmt.Errorf("give %s the address %s: %w", name, address, err)
				}
				if err := unix.IoctlIfreq(fd, s.req, r); err != nil {
					return fmt.Errorf("give %s the address %s: %w", name, address, err)
				}
			}
		}
		return up(fd, r)
	})
}

// ask opens what is asked about an interface, for do.
func ask(name string, do func(fd int, r *unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	return do(fd, r)
}

// up sets an interface up and leaves its other flags.
func up(fd int, r *unix.Ifreq) error {
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r); err != nil {
		return fmt.Errorf("read its flags: %w", err)
	}
	r.SetUint16(r.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	return nil
}
