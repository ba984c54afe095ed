package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"gozen/hypervisor/control/process"
)

// field is one line of xl info.
type field struct{ key, value string }

func (a *app) info(c *call) int {
	var f format
	numa := false
	args, rc := a.parse(c, options{short: "nxo:", long: map[string]byte{"numa": 'n', "xenstore": 'x'}}, func(o byte, v string) {
		switch o {
		case 'n':
			numa = true
		case 'o':
			f = format(v)
		}
	})
	if rc != noReturn {
		return rc
	}
	if rc := a.checkFormat(f); rc != noReturn {
		return rc
	}
	h := readHost()
	fields, kvm := infoFields(h), askKVM()
	if f == "json" {
		return a.infoJSON(fields, kvm)
	}
	fields = append(fields, kvmFields(kvm)...)
	if len(args) > 0 {
		for _, l := range fields {
			if strings.HasPrefix(fmt.Sprintf("%-23s:", l.key), args[0]) && l.value != "" {
				fmt.Fprintln(a.out, l.value)
			}
		}
		return exitOK
	}
	printInfo(a.out, fields)
	if numa {
		printTopology(a.out, h)
	}
	return exitOK
}

func printInfo(w io.Writer, fields []field) {
	for _, l := range fields {
		if l.key == "virt_caps" { // each word of this one brings its own space
			fmt.Fprintf(w, "%-23s:%s\n", l.key, spaced(l.value))
			continue
		}
		fmt.Fprintf(w, "%-23s: %s\n", l.key, l.value)
	}
}

func spaced(words string) string {
	if words == "" {
		return ""
	}
	return " " + words
}

// infoFields gives the lines of xl info in xl's order.
func infoFields(h hostFacts) []field {
	host, release, version, machine := uname()
	sockets := map[int]bool{}
	for _, s := range h.socketOf {
		sockets[s] = true
	}
	cores := max(1, len(h.cpus)/max(1, len(sockets))/h.threads)
	n := func(v any) string { return fmt.Sprint(v) }
	rev, dirty := revision()
	caps := "hvm-3.0-x86_64"
	if runtime.GOARCH == "arm64" {
		caps = "xen-3.0-aarch64"
	}
	builder, date := "gozen", "unknown"
	if d := dirty; d != "" {
		date = d
	}
	return []field{
		{"host", host}, {"release", release}, {"version", version}, {"machine", machine},
		{"nr_cpus", n(len(h.cpus))}, {"max_cpu_id", n(h.cpus[len(h.cpus)-1])}, {"nr_nodes", n(nodes())},
		{"cores_per_socket", n(cores)}, {"threads_per_core", n(h.threads)}, {"cpu_mhz", h.mhz},
		{"hw_caps", strings.TrimSuffix(strings.Repeat("00000000:", 8), ":")}, {"virt_caps", virtCaps(h)},
		{"total_memory", n(h.totalKiB >> 10)}, {"free_memory", n(h.freeKiB >> 10)}, {"sharing_freed_memory", "0"},
		{"sharing_used_memory", "0"}, {"outstanding_claims", "0"}, {"free_cpus", "0"},
		{"xen_major", "4"}, {"xen_minor", "17"}, {"xen_extra", ".0-gozen"}, {"xen_version", "4.17.0-gozen"}, {"xen_caps", caps},
		{"xen_scheduler", "host"}, {"xen_pagesize", "4096"}, {"platform_params", "virt_start=0xffff800000000000"},
		{"xen_changeset", rev}, {"xen_commandline", ""}, {"cc_compiler", runtime.Version()}, {"cc_compile_by", builder},
		{"cc_compile_domain", ""}, {"cc_compile_date", date}, {"build_id", rev}, {"xend_config_format", "4"},
	}
}

// virtCaps gives the words of virt_caps that hold on this host: hvm (which PVH needs) always, since there is a software CPU.
func virtCaps(h hostFacts) string {
	words := []string{"hvm"}
	if _, err := os.Stat(kvmPath); err == nil && (h.modelFlags["vmx"] || h.modelFlags["svm"]) {
		words = append(words, "hap")
	}
	return strings.Join(append(words, "gnttab-v1"), " ")
}

func nodes() int {
	n := 0
	entries, _ := os.ReadDir("/sys/devices/system/node")
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), "node"); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			n++
		}
	}
	return max(1, n)
}

// askKVM gives what the host's KVM can do, as the domain program has probed it: xl itself holds no engine.
func askKVM() json.RawMessage {
	program, err := process.FindBinary()
	var out json.RawMessage
	if err == nil {
		out, err = process.AskHost(program)
	}
	if err != nil {
		out, _ = json.Marshal(process.NoHost{Name: "unknown", Why: err.Error()})
	}
	return out
}

// kvmAbilities is the part of kvm.Abilities, of either architecture, that the text of xl info shows.
type kvmAbilities struct {
	Name       string          `json:"name"`
	Why        string          `json:"why"`
	Hardware   bool            `json:"hardware"`
	Nested     bool            `json:"nested"`
	MaxVCPUs   int             `json:"max_vcpus"`
	Hypercalls string          `json:"hypercalls"`
	Xen        map[string]bool `json:"xen"`
	IPABits    int             `json:"ipa_bits"`
}

// kvmFields gives the lines of xl info about KVM; they are ours, and stand behind xl's own.
func kvmFields(raw json.RawMessage) []field {
	var k kvmAbilities
	if err := json.Unmarshal(raw, &k); err != nil {
		return []field{{"kvm", "unknown (" + err.Error() + ")"}}
	}
	if k.Why != "" {
		return []field{{"kvm", k.Name + " (" + k.Why + ")"}}
	}
	var marks []string
	if !k.Hardware {
		marks = append(marks, "no hardware virtualization")
	}
	if k.Nested {
		marks = append(marks, "nested")
	}
	name := k.Name
	if len(marks) > 0 {
		name += " (" + strings.Join(marks, ", ") + ")"
	}
	out := []field{{"kvm", name}, {"kvm_max_vcpus", strconv.Itoa(k.MaxVCPUs)}}
	if k.Hypercalls != "" {
		out = append(out, field{"kvm_hypercalls", k.Hypercalls})
	}
	if k.Xen != nil {
		out = append(out, field{"kvm_xen", xenWords(k.Xen)})
	}
	if k.IPABits != 0 {
		out = append(out, field{"kvm_ipa_bits", strconv.Itoa(k.IPABits)})
	}
	return out
}

// xenWords lists the helpers for Xen guests that a host has.
func xenWords(has map[string]bool) string {
	var out []string
	for w, ok := range has {
		if ok {
			out = append(out, w)
		}
	}
	if len(out) == 0 {
		return "none"
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// revision gives the commit and its time from the build, if the build knew.
func revision() (rev, when string) {
	rev = "unknown"
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				rev = s.Value
			case "vcs.time":
				when = s.Value
			}
		}
	}
	return rev, when
}

// infoJSON prints an object with the keys in xl's order, and ours behind them.
func (a *app) infoJSON(fields []field, kvm json.RawMessage) int {
	var b bytes.Buffer
	b.WriteString("{\n")
	for _, f := range fields {
		k, _ := json.Marshal(f.key)
		v, _ := json.Marshal(f.value)
		fmt.Fprintf(&b, "    %s: %s,\n", k, v)
	}
	b.WriteString(`    "kvm": `)
	_ = json.Indent(&b, kvm, "    ", "    ") // valid, or askKVM would have said so
	b.WriteString("\n}\n")
	_, _ = a.out.Write(b.Bytes())
	return exitOK
}

// printTopology prints what -n adds.
func printTopology(w io.Writer, h hostFacts) {
	fmt.Fprint(w, "cpu_topology           :\ncpu:    core    socket     node\n")
	for i, c := range h.cpus {
		fmt.Fprintf(w, "%3d:    %4d     %4d     %4d\n", c, h.coreOf[i], h.socketOf[i], 0)
	}
	fmt.Fprint(w, "device topology        :\ndevice           node\nNo device topology data available\n")
	fmt.Fprint(w, "numa_info              :\nnode:    memsize    memfree    distances\n")
	fmt.Fprintf(w, "%4d:    %6d     %6d      %d\n", 0, h.totalKiB>>10, h.freeKiB>>10, 10)
}
