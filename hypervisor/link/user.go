package link

import "gozen/hypervisor/config"

// UserConfig is what the program usernet reads as JSON from its standard input: which network to put behind the socket that is its file descriptor UserFD. It writes
// UserReady to its standard output, which it keeps open as long as it lives, or says on standard error why not.
type UserConfig struct {
	// NIC is completed and checked, and has User.
	NIC config.NIC `json:"nic"`
	// NoSandbox leaves the process unconfined.
	NoSandbox bool `json:"no_sandbox,omitempty"`
}

const (
	UserFD    = 3
	UserReady = "ready\n"
)
