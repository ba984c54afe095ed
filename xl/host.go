package main

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/control"
)

// hostFacts is what xl shows of the host as Domain-0.
type hostFacts struct {
	cpus       []int // online CPUs
	totalKiB   uint64
	freeKiB    uint64
	cpuTime    []time.Duration // busy time by CPU, in the order of cpus
	uptime     time.Duration
	mhz        string
	coreOf     []int // core id by CPU
	socketOf   []int
	threads    int // hardware threads of a core
	modelFlags map[string]bool
}

func readHost() hostFacts {
	h := hostFacts{cpus: onlineCPUs(), threads: 1, mhz: "0.000", modelFlags: map[string]bool{}}
	h.totalKiB, h.freeKiB = meminfo("MemTotal"), meminfo("MemAvailable")
	h.cpuTime = cpuTimes(len(h.cpus))
	if b, err := os.ReadFile("/proc/uptime"); err == nil {
		s, _, _ := strings.Cut(string(b), " ")
		if v, err := strconv.ParseFloat(s, 64); err == nil {
			h.uptime = time.Duration(v * float64(time.Second))
		}
	}
	cores := map[[2]int]int{}
	for _, c := range h.cpus {
		core, socket := topology(c, "core_id"), topology(c, "physical_package_id")
		h.coreOf, h.socketOf = append(h.coreOf, core), append(h.socketOf, socket)
		cores[[2]int{socket, core}]++
		h.threads = max(h.threads, cores[[2]int{socket, core}])
	}
	h.readCPUInfo()
	return h
}

// readCPUInfo takes the clock and the feature names of the first CPU.
func (h *hostFacts) readCPUInfo() {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() && sc.Text() != "" {
		k, v, _ := strings.Cut(sc.Text(), ":")
		switch v = strings.TrimSpace(v); strings.TrimSpace(k) {
		case "cpu MHz":
			if v, err := strconv.ParseFloat(v, 64); err == nil {
				h.mhz = strconv.FormatFloat(v, 'f', 3, 64)
			}
		case "flags", "Features":
			for _, f := range strings.Fields(v) {
				h.modelFlags[f] = true
			}
		}
	}
}

func topology(cpu int, what string) int {
	b, err := os.ReadFile(filepath.Join("/sys/devices/system/cpu", "cpu"+strconv.Itoa(cpu), "topology", what))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return max(n, 0)
}

func onlineCPUs() []int {
	if b, err := os.ReadFile("/sys/devices/system/cpu/online"); err == nil {
		if c := parseCPUList(strings.TrimSpace(string(b))); len(c) > 0 {
			return c
		}
	}
	out := make([]int, runtime.NumCPU())
	for i := range out {
		out[i] = i
	}
	return out
}

// parseCPUList reads the kernel's form "0-3,5".
func parseCPUList(s string) []int {
	var out []int
	for _, part := range strings.Split(s, ",") {
		a, b, isRange := strings.Cut(part, "-")
		lo, err := strconv.Atoi(a)
		hi := lo
		if err == nil && isRange {
			hi, err = strconv.Atoi(b)
		}
		if err != nil || lo < 0 || hi-lo > 1<<16 {
			return nil
		}
		for i := lo; i <= hi; i++ {
			out = append(out, i)
		}
	}
	return out
}

func meminfo(key string) uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for _, l := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(l, ":"); ok && k == key {
			n, _ := strconv.ParseUint(strings.Fields(v + " 0")[0], 10, 64)
			return n
		}
	}
	return 0
}

// cpuTimes gives the busy time of each CPU since boot from /proc/stat, in USER_HZ ticks of 10 ms.
func cpuTimes(n int) []time.Duration {
	out := make([]time.Duration, n)
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return out
	}
	i := 0
	for _, l := range strings.Split(string(b), "\n") {
		f := strings.Fields(l)
		if len(f) < 9 || !strings.HasPrefix(f[0], "cpu") || f[0] == "cpu" || i >= n {
			continue
		}
		for k, v := range f[1:9] {
			if k == 3 || k == 4 { // idle, iowait
				continue
			}
			t, _ := strconv.ParseUint(v, 10, 64)
			out[i] += time.Duration(t) * 10 * time.Millisecond
		}
		i++
	}
	return out
}

// dom0 describes the host as a domain.
func dom0() control.Info {
	h := readHost()
	in := control.Info{Name: dom0Name, UUID: "00000000-0000-0000-0000-000000000000", Type: "host", MemoryKiB: h.totalKiB,
		MaxMemKiB: h.totalKiB, State: control.State{Running: true}, MaxVCPUs: len(h.cpus), Uptime: h.uptime,
		Started: time.Now().Add(-h.uptime), Engine: "host"}
	for i, c := range h.cpus {
		in.VCPUs = append(in.VCPUs, control.VCPUInfo{ID: i, Online: true, Running: true, CPU: c, Time: h.cpuTime[i]})
		in.CPUTime += h.cpuTime[i]
	}
	return in
}

func uname() (host, release, version, machine string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", "", "", runtime.GOARCH
	}
	s := func(b []byte) string { return unix.ByteSliceToString(b) }
	return s(u.Nodename[:]), s(u.Release[:]), s(u.Version[:]), s(u.Machine[:])
}
