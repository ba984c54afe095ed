package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// NIC is a network device of a domain, on a tap of the host or on a network of its own.
type NIC struct {
	ID     int    `json:"id"`               // devid: the guest's number of it
	MAC    string `json:"mac"`              // six bytes in hexadecimal, with colons
	Bridge string `json:"bridge,omitempty"` // what the tap joins; empty for none
	Name   string `json:"name,omitempty"`   // of the tap; empty for one that the host chooses
	Script string `json:"script,omitempty"` // path of the program that sets the interface up, and joins the bridge; empty for none
	IP     string `json:"ip,omitempty"`     // told to the guest and to scripts, not acted upon
	MTU    int    `json:"mtu,omitempty"`    // 0 for 1500
	Queues int    `json:"queues,omitempty"` // 0 for one for each vCPU, up to MaxNICQueues; a device with User has one
	// User is its network if it is on no tap (type=user), else nil.
	User *UserNet `json:"user,omitempty"`
	// What the guest sends is bounded to RateBytes in each RateEvery; 0 for no bound.
	RateBytes int64         `json:"rate_bytes,omitempty"`
	RateEvery time.Duration `json:"rate_every,omitempty"` // nanoseconds
}

// Limits of network devices.
const (
	DefaultMTU   = 1500
	MaxMTU       = 65521 // a packet of 64 KiB less an Ethernet header: what one frame of the back end holds
	MaxNICQueues = 4
	maxNICs      = 256
	maxIfName    = 15 // IFNAMSIZ less the end
)

// Complete fills in what has a default. A device without address gets one of Xen's (00:16:3e), the same for a domain of the same name each time.
func (n *NIC) Complete(domain string) {
	if n.MAC == "" {
		h := sha256.Sum256(fmt.Appendf(nil, "%s/%d", domain, n.ID))
		n.MAC = fmt.Sprintf("00:16:3e:%02x:%02x:%02x", h[0]&0x7f, h[1], h[2])
	}
	n.MAC = strings.ToLower(n.MAC)
	if n.MTU == 0 {
		n.MTU = DefaultMTU
	}
}

// Check says what is wrong with a completed device by itself, nil if nothing is.
func (n *NIC) Check() *Error {
	bad := func(what, why, fix string) *Error {
		return &Error{Field: "vif", What: fmt.Sprintf("network device %d: %s", n.ID, what), Why: why, Fix: fix}
	}
	mac, err := net.ParseMAC(n.MAC)
	switch {
	case n.ID < 0 || n.ID >= maxNICs:
		return bad("devid cannot be had", fmt.Sprintf("they go from 0 to %d", maxNICs-1), "take a smaller number")
	case err != nil || len(mac) != 6 || len(n.MAC) != 17:
		return bad(fmt.Sprintf("%q is not a MAC address", n.MAC), "", "write it as 00:16:3e:12:34:56")
	case mac[0]&1 != 0:
		return bad(fmt.Sprintf("%s is the address of a group", n.MAC), "its first byte is odd", "take one that begins with 00:16:3e")
	case n.MTU < 68 || n.MTU > MaxMTU:
		return bad(fmt.Sprintf("an MTU of %d cannot be had", n.MTU), fmt.Sprintf("it is 68 at least and %d at most", MaxMTU), "take 1500, or leave it out")
	case n.Queues < 0 || n.Queues > MaxNICQueues:
		return bad(fmt.Sprintf("%d queues cannot be had", n.Queues), fmt.Sprintf("there are at most %d", MaxNICQueues), "take fewer, or leave it out")
	case n.RateBytes < 0 || n.RateEvery < 0 || (n.RateBytes == 0) != (n.RateEvery == 0):
		return bad("the rate cannot be had", "", `write it as rate=10Mb/s`)
	}
	for _, name := range []string{n.Name, n.Bridge} {
		if len(name) > maxIfName || strings.ContainsAny(name, "/ \t\n%") {
			return bad(fmt.Sprintf("%q is not a name of an interface", name), fmt.Sprintf("they have at most %d characters, without spaces and slashes", maxIfName), "take another")
		}
	}
	if n.User != nil {
		return n.checkUser(bad)
	}
	return nil
}

// Refused says why the host does not give the device what it is on. What knows better what to do is an *Error already.
func (n *NIC) Refused(why error) *Error {
	what := fmt.Sprintf("network device %d cannot be had", n.ID)
	if e, ok := errors.AsType[*Error](why); ok {
		return &Error{Field: "vif", What: what + ": " + e.What, Why: e.Why, Fix: e.Fix}
	}
	return &Error{Field: "vif", What: what, Why: why.Error(),
		Fix: "check that the bridge is there (ip link show type bridge), and that you may make taps; bridge= without a name joins none"}
}

func (d *Domain) checkNICs() *Error {
	ids, macs, names := map[int]bool{}, map[string]bool{}, map[string]bool{}
	for i := range d.NICs {
		n := &d.NICs[i]
		if e := n.Check(); e != nil {
			return e
		}
		switch {
		case ids[n.ID]:
			return &Error{Field: "vif", What: fmt.Sprintf("two network devices have the devid %d", n.ID), Fix: "give each one of its own, or leave devid out"}
		case macs[n.MAC]:
			return &Error{Field: "vif", What: fmt.Sprintf("two network devices have the address %s", n.MAC), Fix: "give each one of its own, or leave mac out"}
		case n.Name != "" && names[n.Name]:
			return &Error{Field: "vif", What: fmt.Sprintf("two network devices have the vifname %s", n.Name), Fix: "give each one of its own, or leave vifname out"}
		}
		ids[n.ID], macs[n.MAC], names[n.Name] = true, true, true
	}
	if d.Deterministic && len(d.NICs) > 0 {
		return &Error{Field: "vif", What: "a deterministic domain has no network", Why: "what comes over it, and when, would not be the same in another run", Fix: "leave out vif, or deterministic"}
	}
	return nil
}
