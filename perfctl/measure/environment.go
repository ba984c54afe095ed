package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"gozen/perfctl/result"
)

// Environment describes this machine and this program, without what only a guest shows.
func Environment(version string) result.Env {
	h := ThisHost()
	e := result.Env{CPU: h.CPU, CPUs: h.CPUs, Arch: h.Arch, Kernel: h.Kernel, Guest: h.Guest, Version: version}
	const cpu = "/sys/devices/system/cpu/"
	files, _ := filepath.Glob(cpu + "vulnerabilities/*")
	for _, f := range files {
		if v := firstLine(f); v != "" && v != "Not affected" {
			e.Mitigations = append(e.Mitigations, filepath.Base(f)+": "+v)
		}
	}
	e.Governor = firstLine(cpu + "cpu0/cpufreq/scaling_governor")
	e.Clock = firstLine("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	e.Pinning = pinning(h.CPUs)
	return e
}

func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	s, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(s)
}

// pinning says on which processors this process may run.
func pinning(cpus int) string {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return ""
	}
	if set.Count() >= cpus && cpus > 1 {
		return "none"
	}
	var list []string
	for i := range 1024 {
		if set.IsSet(i) {
			list = append(list, fmt.Sprint(i))
		}
	}
	return "to " + strings.Join(list, ",")
}
