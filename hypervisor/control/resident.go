package control

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// residentMemory gives the resident memory of this process in KiB, and the part of it that is not guest memory. It reads
// /proc/self/smaps. Where the kernel has merged a guest range with a neighbour into one mapping, as much of the
// mapping's resident memory as the range could hold is counted as the guest's.
func residentMemory(guest [][2]uintptr) (rss, overhead uint64) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	rss, own := parseSmaps(f, guest)
	return rss, own
}

func parseSmaps(r io.Reader, guest [][2]uintptr) (rss, own uint64) {
	sc := bufio.NewScanner(r)
	var inGuest uint64 // KiB of the present mapping that belong to the guest
	for sc.Scan() {
		line := sc.Text()
		if v, ok := strings.CutPrefix(line, "Rss:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			rss += n
			own += n - min(n, inGuest)
			continue
		}
		span, _, _ := strings.Cut(line, " ")
		a, b, ok := strings.Cut(span, "-")
		if !ok {
			continue
		}
		start, err1 := strconv.ParseUint(a, 16, 64)
		end, err2 := strconv.ParseUint(b, 16, 64)
		if err1 != nil || err2 != nil {
			continue
		}
		inGuest = 0
		for _, g := range guest {
			lo, hi := max(start, uint64(g[0])), min(end, uint64(g[1]))
			if lo < hi {
				inGuest += (hi - lo) / 1024
			}
		}
	}
	return rss, own
}
