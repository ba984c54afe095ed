package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// area is one mapping of a process, sizes in KiB.
type area struct {
	name      string
	size, rss uint64
}

// areas reads a process's smaps.
func areas(pid int) []area {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	return parseSmaps(string(b))
}

func parseSmaps(text string) (out []area) {
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		switch {
		case len(f) >= 5 && strings.Contains(f[0], "-") && !strings.HasSuffix(f[0], ":"):
			name := "anonymous"
			if len(f) > 5 {
				name = filepath.Base(f[5])
			}
			out = append(out, area{name: name})
		case len(f) == 3 && f[0] == "Size:" && len(out) > 0:
			out[len(out)-1].size, _ = strconv.ParseUint(f[1], 10, 64)
		case len(f) == 3 && f[0] == "Rss:" && len(out) > 0:
			out[len(out)-1].rss, _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
	return out
}

// split gives the guest's memory, which is the mapping with the most resident memory, and the others.
func split(all []area) (guest area, rest []area) {
	at := 0
	for i, a := range all {
		if a.rss > all[at].rss {
			at = i
		}
	}
	if len(all) == 0 {
		return area{}, nil
	}
	return all[at], append(append([]area(nil), all[:at]...), all[at+1:]...)
}

// beyond gives the KiB of a process that are resident beside the guest's memory.
func beyond(pid int) (sum uint64) {
	_, rest := split(areas(pid))
	for _, a := range rest {
		sum += a.rss
	}
	return sum
}

// mappings gives the resident KiB by name, that of the guest's memory too.
func mappings(pid int) map[string]uint64 {
	guest, rest := split(areas(pid))
	out := map[string]uint64{"guest": guest.rss}
	for _, a := range rest {
		out[a.name] += a.rss
	}
	return out
}
