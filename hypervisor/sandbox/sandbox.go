package sandbox

import (
	"errors"
	"time"
)

// Config says what stays within the process's reach.
type Config struct {
	Paths []Path
	// Network leaves it the host's network: IPv4 and IPv6, TCP and UDP, to any address. Its memory, and what it writes to files, is bounded then.
	Network bool
}

// State says how a process is confined.
type State struct {
	NoNewPrivs     bool
	NoCapabilities bool
	Limits         bool
	Landlock       int // version of the interface, 0 without
	Seccomp        bool
	Cgroup         string // of this process, if it was made for it
	// Missing names what this host does not give, with the reason.
	Missing []string
}

// Enter confines the calling process: all its threads, for good. What the host cannot do is named in the state, and
// the rest is done. Call it once, when no goroutine makes calls that the rules forbid.
func Enter(cfg Config) State {
	var s State
	// The time zone is a file outside: read it while it is there.
	_, _ = time.Now().Zone()
	if path, err := CurrentCgroup(); err != nil {
		s.miss(err)
	} else {
		s.Cgroup = path
	}
	s.Limits = s.did(setLimits(cfg.Network))
	err := noNewPrivileges()
	if errors.Is(err, errCgo) {
		s.miss(errors.New("no_new_privs, capabilities, landlock, seccomp: " + err.Error()))
		return s
	}
	s.NoNewPrivs = s.did(err)
	abi, err := landlockABI()
	if err == nil {
		err = restrict(abi, cfg)
	}
	if s.did(err) {
		s.Landlock = abi
	}
	s.NoCapabilities = s.did(dropCapabilities())
	s.Seccomp = s.did(filterThreads(cfg.Network))
	return s
}

func (s *State) did(err error) bool {
	if err != nil {
		s.miss(err)
	}
	return err == nil
}

func (s *State) miss(err error) { s.Missing = append(s.Missing, err.Error()) }
