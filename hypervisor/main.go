// Command hypervisor is the process of one domain. xl create starts it and talks to it over the control socket in the
// domain's run folder.
package main

import (
	"os"
	"runtime/debug"

	"gozen/hypervisor/build"
	"gozen/hypervisor/control/process"
)

// version is set at build time with -ldflags "-X main.version=...".
var version = "0.1.0"

// gcPercent keeps the process small: its heap is a few MiB of decoded code, and it allocates little once the guest runs.
const gcPercent = 20

func main() {
	debug.SetGCPercent(gcPercent)
	os.Exit(process.Main(os.Args[1:], version, newMachine, build.Host))
}
