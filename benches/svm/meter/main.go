// Command meter runs on an emulated host and measures what guests and the programs that run them cost there. bench-svm starts it and reads
// what it prints: a line of JSON for each figure.
package main

import (
	"fmt"
	"os"

	"gozen/benches/svm"
)

const usage = `usage:
  meter boot NAME KERNEL INITRD [COMMAND...]   boot a guest; COMMAND is another VMM, which prints the guest's console
  meter guest NAME MODE KERNEL INITRD          run the operations in a guest of gozen; MODE is default or native (tsc_mode)
  meter io NAME KERNEL INITRD IMAGE [COMMAND...]  measure disk and network from inside a guest; COMMAND is another VMM
  meter bare NAME PROGRAM                      run the operations here
  meter port-exit PROGRAM                      time a port exit in Go, and in the C program
  meter pause                                  time the collector's pauses while a guest spins
`

func main() {
	jobs := map[string]func([]string) error{"boot": boot, "guest": guestOps, "io": guestIO, "bare": bareOps, "port-exit": portExit, "pause": pause}
	if len(os.Args) < 2 || jobs[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := jobs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "meter:", err)
		os.Exit(1)
	}
}

func report(name string, value float64, detail map[string]uint64) {
	_ = svm.Figure{Name: name, Value: value, Detail: detail}.Write(os.Stdout)
}
