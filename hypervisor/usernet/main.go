// Command usernet is the network of one guest's device with type=user. A domain's process starts it, and talks to it over a socket that carries frames.
package main

import (
	"os"

	"gozen/hypervisor/link/usernet"
)

// version is set at build time with -ldflags "-X main.version=...".
var version = "0.1.0"

func main() { os.Exit(usernet.Main(os.Args[1:], version)) }
