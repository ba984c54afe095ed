package config

import (
	"strconv"
	"strings"
)

// Number gives the number by which a disk is known in xenstore and to the guest (Xen docs/misc/vbd-interface.7: xvd*, hd*, sd*, dNpM or the
// number itself, in the ways of strconv); false if its name means no disk.
func (d *Disk) Number() (int, bool) {
	if n, err := strconv.ParseUint(d.Vdev, 0, 31); err == nil {
		return int(n), true
	}
	for _, f := range []struct {
		prefix string
		number func(disk, part int) (int, bool)
	}{{"xvd", xvd}, {"hd", hd}, {"sd", sd}} {
		if rest, ok := strings.CutPrefix(d.Vdev, f.prefix); ok {
			disk, part, ok := letters(rest)
			if !ok {
				return 0, false
			}
			return f.number(disk, part)
		}
	}
	rest, ok := strings.CutPrefix(d.Vdev, "d")
	if !ok {
		return 0, false
	}
	a, b, two := strings.Cut(rest, "p")
	disk, err := strconv.ParseUint(a, 10, 20)
	part := uint64(0)
	if err == nil && two {
		part, err = strconv.ParseUint(b, 10, 8)
	}
	if err != nil {
		return 0, false
	}
	return xvd(int(disk), int(part))
}

// letters reads the end of a name: letters count disks, a is 0 and aa is 26; digits are the partition, 0 for the whole.
func letters(s string) (disk, part int, ok bool) {
	i := 0
	for ; i < len(s) && s[i] >= 'a' && s[i] <= 'z'; i++ {
		if disk = disk*26 + int(s[i]-'a') + 1; disk > 1<<20 {
			return 0, 0, false
		}
	}
	if i == 0 {
		return 0, 0, false
	}
	if i < len(s) {
		n, err := strconv.ParseUint(s[i:], 10, 8)
		if err != nil || n == 0 || s[i] == '0' {
			return 0, 0, false
		}
		part = int(n)
	}
	return disk - 1, part, true
}

func xvd(disk, part int) (int, bool) {
	switch {
	case disk < 16 && part < 16:
		return 202<<8 | disk<<4 | part, true
	case disk < 1<<20 && part < 256:
		return 1<<28 | disk<<8 | part, true
	}
	return 0, false
}

func hd(disk, part int) (int, bool) {
	major := [...]int{3, 22}
	if disk >= 4 || part >= 64 {
		return 0, false
	}
	return major[disk/2]<<8 | disk&1<<6 | part, true
}

func sd(disk, part int) (int, bool) {
	if disk >= 16 || part >= 16 {
		return 0, false
	}
	return 8<<8 | disk<<4 | part, true
}
