package main

import (
	"fmt"
	"io"
	"strings"

	"gozen/hypervisor/control"
)

func (a *app) vcpuList(c *call) int {
	args, f, rc := a.parseFormat(c, 0)
	if rc != noReturn {
		return rc
	}
	doms, ok := a.chosen(args)
	if !ok {
		return exitFail
	}
	rows := gather(doms)
	if f == "json" {
		type row struct {
			Name  string             `json:"name"`
			Domid int                `json:"domid"`
			VCPUs []control.VCPUInfo `json:"vcpus"`
		}
		out := []row{}
		for _, in := range rows {
			out = append(out, row{in.Name, in.Domid, in.VCPUs})
		}
		return a.printJSON(out)
	}
	printVCPUs(a.out, rows, onlineCPUs())
	return exitOK
}

// printVCPUs prints the table of xl vcpu-list, byte for byte.
func printVCPUs(w io.Writer, rows []control.Info, host []int) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-32s %5s %5s %5s %5s %9s %s\n", "Name", "ID", "VCPU", "CPU", "State", "Time(s)", "Affinity (Hard / Soft)")
	letter := func(on bool, c byte) byte {
		if on {
			return c
		}
		return '-'
	}
	for _, in := range rows {
		for _, v := range in.VCPUs {
			fmt.Fprintf(&b, "%-32s %5d %5d", in.Name, in.Domid, v.ID)
			switch {
			case !v.Online:
				fmt.Fprintf(&b, "%5c %3c%cp ", '-', '-', '-')
			case v.CPU < 0:
				fmt.Fprintf(&b, "%5c %3c%c- ", '-', letter(v.Running, 'r'), letter(v.Blocked, 'b'))
			default:
				fmt.Fprintf(&b, "%5d %3c%c- ", v.CPU, letter(v.Running, 'r'), letter(v.Blocked, 'b'))
			}
			fmt.Fprintf(&b, "%9.1f  %s / all\n", v.Time.Seconds(), affinity(v.Affinity, host))
		}
	}
	_, _ = io.WriteString(w, b.String())
}

// affinity prints a CPU set as xl does: all, none, or ranges.
func affinity(set, host []int) string {
	if set == nil {
		return "all"
	}
	if len(set) == 0 {
		return "none"
	}
	in := map[int]bool{}
	for _, c := range set {
		in[c] = true
	}
	every := true
	for _, c := range host {
		every = every && in[c]
	}
	if every {
		return "all"
	}
	var parts []string
	for i := 0; i < len(set); {
		j := i
		for j+1 < len(set) && set[j+1] == set[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(set[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", set[i], set[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
