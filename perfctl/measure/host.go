package measure

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Host says where a figure was taken.
type Host struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Arch   string `json:"arch"`
	// Guest is set when the host is itself a virtual machine, as far as its processor says so.
	Guest bool `json:"guest"`
}

// ThisHost describes the machine this runs on.
func ThisHost() Host {
	h := Host{CPU: "unknown", CPUs: runtime.NumCPU(), Arch: runtime.GOARCH}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		h.cpuinfo(string(b))
	}
	return h
}

func (h *Host) cpuinfo(text string) {
	for l := range strings.Lines(text) {
		key, value, _ := strings.Cut(l, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "model name":
			h.CPU = strings.Join(strings.Fields(value), " ")
		case "flags":
			h.Guest = strings.Contains(" "+value+" ", " hypervisor ")
			return
		}
	}
}
