// Command hypervisor is the process of one domain. xl create starts it and talks to it over the control socket in the
// domain's run folder.
package main

import (
	"os"

	"gozen/hypervisor/control/process"
)

// version is set at build time with -ldflags "-X main.version=...".
var version = "0.1.0"

func main() { os.Exit(process.Main(os.Args[1:], version, newMachine)) }
