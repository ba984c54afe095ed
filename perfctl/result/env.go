package result

// Env is where a result was taken. It stands in every result, since figures from different places are no comparison.
type Env struct {
	Engine      string   `json:"engine"`                 // kvm-intel, kvm-amd, soft, ...
	EngineWhy   string   `json:"engine_why,omitempty"`   // why this one was picked
	Paths       string   `json:"paths,omitempty"`        // how guest and engine reach each other
	CPU         string   `json:"cpu"`                    // of the host
	CPUs        int      `json:"cpus"`                   //
	Arch        string   `json:"arch"`                   //
	Kernel      string   `json:"kernel"`                 // of the host
	Guest       bool     `json:"host_is_guest"`          // the host is itself a virtual machine
	Mitigations []string `json:"mitigations,omitempty"`  // "spectre_v2: Mitigation: ..."
	Governor    string   `json:"governor,omitempty"`     // of the processor's frequency
	Pinning     string   `json:"pinning,omitempty"`      // processors that this may run on
	Clock       string   `json:"clocksource,omitempty"`  // of the host
	GuestTSCkHz float64  `json:"guest_tsc_khz"`          // 0: not known
	TimerTicks  float64  `json:"timer_ticks"`            // what reading the counter costs; taken off every batch
	Version     string   `json:"version"`                // of gozen
	GuestKernel string   `json:"guest_kernel,omitempty"` //
	Fixed       bool     `json:"deterministic,omitempty"`
}

// Kinds of figures.
const (
	KindSoft     = "built-in CPU: counts exact, times only of this emulator"
	KindSoftKVM  = "software KVM: times of an interpreter in the host's kernel, counts exact"
	KindNested   = "nested: times of a virtual machine inside a virtual machine, counts exact"
	KindHardware = "hardware"
	KindVirtual  = "built-in CPU, deterministic: counts exact, times are virtual (instructions counted)"
	KindUnknown  = "unknown engine"
)

// Kind says what kind of figures these are.
func (e *Env) Kind() string {
	switch {
	case e.Engine == "soft" && e.Fixed:
		return KindVirtual
	case e.Engine == "soft":
		return KindSoft
	case e.Engine == "kvm-pvm":
		return KindSoftKVM
	case e.Engine == "":
		return KindUnknown
	case e.Guest:
		return KindNested
	}
	return KindHardware
}
