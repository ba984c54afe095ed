package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"gozen/benches/guest/peer"
	"gozen/hypervisor/link"
)

// The host's end of the guest's network: the tap, its address, and where the server listens.
const (
	tapName    = "tap0"
	tapAddress = "10.77.0.1"
	tapServer  = tapAddress + ":7777"
)

// address gives an interface its address as soon as it is there.
func address(name string) error {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat("/sys/class/net/" + name); err == nil {
			break
		} else if time.Now().After(end) {
			return err
		}
	}
	return link.SetUp(name, netip.MustParsePrefix(tapAddress+"/24"))
}

// serve answers the program in the guest.
func serve() (stop func(), err error) {
	l, err := net.Listen("tcp", tapServer)
	if err != nil {
		return nil, err
	}
	go peer.Serve(l, func(err error) { fmt.Fprintln(os.Stderr, "meter: server:", err) })
	return func() { _ = l.Close() }, nil
}
