package vehicle

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The environment of the guest's first process.
const (
	envNames   = "GAUGE"
	envMode    = "GAUGE_MODE"
	envBatches = "GAUGE_BATCHES"
	envCount   = "GAUGE_COUNT"
	envDisk    = "GAUGE_DISK"
	envAddress = "GAUGE_ADDRESS"
	envPeer    = "GAUGE_PEER"
)

// Spec says what a guest measures.
type Spec struct {
	Mode    string // its name is printed
	Names   []string
	Batches int
	// Count has the guest wait for a line feed on its console before and after each workload, so that its counters can be read.
	Count bool
	// Disk is the kernel's name of the disk, such as xvda: 4 KiB blocks that begin with their numbers (Stamp). "" if there is none.
	Disk string
	// Address is that of the guest's network device, Peer where package peer serves; the zero values if there is none.
	Address netip.Prefix
	Peer    netip.AddrPort
}

// Cmdline is the kernel command line that has a guest measure this.
func (s Spec) Cmdline() string {
	c := fmt.Sprintf("console=hvc0 quiet panic=-1 %s=%s %s=%s %s=%d", envNames, strings.Join(s.Names, ","), envMode, s.Mode, envBatches, s.Batches)
	if s.Count {
		c += " " + envCount + "=1"
	}
	if s.Disk != "" {
		c += " " + envDisk + "=" + s.Disk
	}
	if s.Peer.IsValid() {
		c += fmt.Sprintf(" %s=%s %s=%s", envAddress, s.Address, envPeer, s.Peer)
	}
	if s.Disk != "" || s.Peer.IsValid() {
		c += " GODEBUG=asyncpreemptoff=1" // no signals while the program waits for a device
	}
	return c
}

// maxBatches bounds what a person can ask for.
const maxBatches = 512

// fromEnvironment reads what Cmdline said. What cannot be read is left out, and the workloads that need it will say so.
func fromEnvironment(getenv func(string) string) Spec {
	s := Spec{Mode: getenv(envMode), Names: strings.Split(getenv(envNames), ","), Count: getenv(envCount) == "1", Disk: getenv(envDisk)}
	s.Batches, _ = strconv.Atoi(getenv(envBatches))
	if s.Batches < 1 || s.Batches > maxBatches {
		s.Batches = 1
	}
	s.Address, _ = netip.ParsePrefix(getenv(envAddress))
	s.Peer, _ = netip.ParseAddrPort(getenv(envPeer))
	return s
}
