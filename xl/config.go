package main

import (
	"bytes"
	"strings"
)

// configCmd is xl config check: everything that create would say about a file, and nothing else.
func (a *app) configCmd(c *call) int {
	strict := false
	var f format
	args, rc := a.parse(c, options{short: "so:", long: map[string]byte{"strict": 's'}, need: 1}, func(o byte, v string) {
		if o == 's' {
			strict = true
		} else {
			f = format(v)
		}
	})
	if rc != noReturn {
		return rc
	}
	if rc := a.checkFormat(f); rc != noReturn {
		return rc
	}
	if args[0] != "check" {
		a.say("xl: config has no %q: the only one is check", args[0])
		return exitUsage
	}
	var file string
	var extra bytes.Buffer
	for _, s := range args[1:] {
		switch {
		case strings.Contains(s, "="):
			extra.WriteString(s + "\n")
		case file == "":
			file = s
		default:
			a.help("config")
			return exitUsage
		}
	}
	res, rc := a.readConfig(file, extra.Bytes(), false, false)
	if rc != noReturn {
		return rc
	}
	if f == "json" {
		a.printJSON(longOf(res.Domain, 0))
	}
	if strict && len(res.Warnings) > 0 {
		a.say("%s: %d warnings", file, len(res.Warnings))
		return exitFail
	}
	a.say("%s: ok", file)
	return exitOK
}
