// Command init is the vehicle alone: a smaller /init of Linux guests than perfctl itself, for perfctl's --vehicle.
package main

import (
	"fmt"
	"os"

	"gozen/benches/guest/vehicle"
)

func main() {
	if vehicle.Wanted() {
		vehicle.Main()
	}
	fmt.Fprintln(os.Stderr, "init: this is the first process of a Linux guest that perfctl makes, and nothing else")
	os.Exit(2)
}
