// Command xl manages gozen domains the way Xen users know.
//
// One file a subcommand; commands.go is the table of all of them, app.go what they share, getopt.go the habits of getopt_long. The
// program under a name that begins with "xenstore-" is that xenstore command. Data goes to standard output, everything
// else to standard error.
package main

import "os"

func main() {
	a := &app{out: os.Stdout, err: os.Stderr, in: os.Stdin}
	os.Exit(a.main(os.Args))
}
