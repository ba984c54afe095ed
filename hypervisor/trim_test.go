package main

import "testing"

func TestConstant(t *testing.T) {
	const self = "/bin/hypervisor"
	for line, want := range map[string]bool{
		"00400000-007e6000 r-xp 00000000 08:01 123 /bin/hypervisor\n": true,
		"007e6000-00c06000 r--p 003e6000 08:01 123 /bin/hypervisor\n": true,
		"00c06000-00c66000 rw-p 00806000 08:01 123 /bin/hypervisor\n": false,
		"7ff2adbe4000-7ff2ce1ed000 rw-p 00000000 00:00 0\n":           false,
		"7fff00000000-7fff00002000 r-xp 00000000 00:00 0 [vdso]\n":    false,
		"nonsense": false, "": false,
	} {
		start, size, ok := constant(line, self)
		if ok != want || ok && (start == 0 || size == 0 || start%4096 != 0 || size%4096 != 0) {
			t.Errorf("%q: %#x %#x %v", line, start, size, ok)
		}
	}
}
