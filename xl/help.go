package main

import "fmt"

// help prints the list of subcommands, or the usage of one, to standard output as xl does.
func (a *app) help(name string) {
	if name == "" || name == "help" {
		fmt.Fprint(a.out, "Usage xl [-vfNtT] <subcommand> [args]\n\nxl full list of subcommands:\n\n")
		var missing int
		for _, c := range commands() {
			if c.run == nil {
				missing++
				continue
			}
			fmt.Fprintf(a.out, " %-19s %s\n", c.name, c.summary)
		}
		fmt.Fprintf(a.out, "\n%d more subcommands of Xen's xl are known by name and say why they are not here.\n", missing)
		return
	}
	c := lookup(name)
	switch {
	case c == nil:
		fmt.Fprintf(a.out, "command \"%s\" not implemented\n", name)
	case c.run == nil:
		fmt.Fprintf(a.out, "xl %s: %s\n", c.name, c.why)
	default:
		flags := "vtT"
		if c.modifies {
			flags += "f"
		}
		if c.dryRun {
			flags += "N"
		}
		fmt.Fprintf(a.out, "Usage: xl [-%s] %s %s\n\n%s.\n\n", flags, c.name, c.usage, c.summary)
		if c.options != "" {
			fmt.Fprintf(a.out, "Options:\n\n%s\n", c.options)
		}
	}
}
