package usernet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/sirupsen/logrus"
	guestlog "gvisor.dev/gvisor/pkg/log"

	"gozen/hypervisor/link"
	"gozen/hypervisor/sandbox"
)

const usage = `Usage: usernet < config.json

The network of one guest's device with type=user (docs/xl.cfg.md). A domain's process starts it; it is not meant to be started by hand.
Frames go over file descriptor 3, a socket. It ends when the other end of that is closed.

  --help      this text
  --version   the version
`

// maxConfig bounds what is read from standard input, in bytes.
const maxConfig = 1 << 20

// heap is where the garbage collector begins to hurry, in bytes; the sandbox's limit on memory is above it.
const heap = 256 << 20

// Main is the whole program: it gives the exit status.
func Main(args []string, version string) int {
	if len(args) > 0 {
		switch args[0] {
		case "--help", "-h":
			fmt.Print(usage)
			return 0
		case "--version":
			fmt.Println("gozen usernet " + version)
			return 0
		}
		fmt.Fprintf(os.Stderr, "usernet: unknown argument %q; see usernet --help\n", args[0])
		return 2
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "usernet: %v\n", err)
		return 1
	}
	return 0
}

func run() error {
	debug.SetMemoryLimit(heap)
	quiet()
	b, err := io.ReadAll(io.LimitReader(os.Stdin, maxConfig))
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var cfg link.UserConfig
	if err := json.Unmarshal(b, &cfg); err != nil {
		return fmt.Errorf("the configuration is not valid: %w", err)
	}
	if cfg.NIC.User == nil {
		return errors.New("the configuration has no network of the guest's own")
	}
	if e := cfg.NIC.Check(); e != nil {
		return e
	}
	q, err := link.NewQueue(os.NewFile(link.UserFD, "socket"))
	if err != nil {
		return err
	}
	n, err := newNetwork(cfg.NIC, nil)
	if err != nil {
		return err
	}
	defer n.close()
	if !cfg.NoSandbox {
		sandbox.Enter(sandbox.Config{Network: true, Paths: readable()})
	}
	if _, err := io.WriteString(os.Stdout, link.UserReady); err != nil {
		return err
	}
	n.run(q)
	return nil
}

// quiet has the libraries say nothing: a guest chooses how often they would. Go's own last words still go to standard error.
func quiet() {
	logrus.SetOutput(io.Discard)
	log.SetOutput(io.Discard)
	guestlog.SetTarget(&guestlog.Writer{Next: io.Discard})
}

// readable is what the resolver of names reads, while it works: /etc/resolv.conf, hosts, nsswitch.conf. The first is often a link to a file that is replaced, so its folder is
// among them.
func readable() []sandbox.Path {
	const etc = "/etc"
	paths := []sandbox.Path{{Name: etc, Access: sandbox.Read}}
	if real, err := filepath.EvalSymlinks(filepath.Join(etc, "resolv.conf")); err == nil && filepath.Dir(real) != etc {
		paths = append(paths, sandbox.Path{Name: filepath.Dir(real), Access: sandbox.Read})
	}
	return paths
}
