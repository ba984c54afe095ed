package control

import (
	"io"
	"os"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/disk"
)

// PowerButton is a word for Machine.Shutdown: press the ACPI power button, which HVM domains have.
const PowerButton = "power-button"

// Machine is a domain that is built. It is made paused: the first Unpause starts it. All methods may be called from
// any goroutine at any time, also after the end, and none blocks for long.
type Machine interface {
	// Info gives what the machine knows of itself; the Server adds what belongs to the process.
	Info() Info
	// Pause stops all vCPUs and returns when they have stopped. Pauses do not nest (Xen's toolstack pause is one bit).
	Pause() error
	Unpause() error
	// Shutdown writes word (poweroff, reboot, halt, suspend) to control/shutdown in xenstore. ErrNoParavirt means
	// that the guest has no driver that would see it. The word PowerButton presses that button instead; ErrNoParavirt: there is none.
	Shutdown(word string) error
	// Destroy ends the domain at once. Done is closed soon after, if it is not already.
	Destroy()
	// Done is closed when the domain has ended by itself or by Destroy and no vCPU will run again.
	Done() <-chan struct{}
	// Reason says why it ended; valid once Done is closed.
	Reason() Reason
	Console() Console
	Xenstore() Xenstore
	Stats() Stats
	// GuestRanges gives the host address ranges [start, end) that hold the guest's own memory, which
	// are left out of the process's resident memory in Info.
	GuestRanges() [][2]uintptr
	// Renamed tells the machine its new name, for xenstore (/local/domain/N/name and /vm/UUID/name).
	Renamed(name string)
	// Close gives everything back. The domain must have ended (call Destroy first); only Done and Reason are
	// called afterwards.
	Close() error
}

// Console is the guest's console seen from outside.
type Console interface {
	// Write gives input to the guest: it takes what there is room for, never blocks, and says how many bytes it took.
	Write(p []byte) (int, error)
	// Subscribe reads the guest's output from byte offset from on (0: since the start; -1: only what comes
	// now). Read blocks until there is more, and gives io.EOF after the last byte of a domain that has ended.
	Subscribe(from int64) io.ReadCloser
}

// Xenstore is the domain's part of the tree, reached with the rights of domain 0. Paths are absolute.
// Errors satisfy errors.Is with the syscall.Errno that xenstored would answer (ENOENT, EINVAL, ...).
type Xenstore interface {
	Read(path string) ([]byte, error)
	Write(path string, value []byte) error
	List(path string) ([]string, error)
	Rm(path string) error
	// Perms gives permissions in xenstore's text form, such as "n0", "r5"; the first names the owner.
	Perms(path string) ([]string, error)
	SetPerms(path string, perms []string) error
	// Watch calls fire with the path of every change at or below path, once at first with path itself, until
	// stop is called. fire must not block for long.
	Watch(path string, fire func(path string)) (stop func(), err error)
}

// Options is what the process gives a machine when it is built.
type Options struct {
	Domid uint16
	// Dir is the run folder of the domain.
	Dir string
	// ConsoleOut takes the guest's console output: never blocks for long, never fails. Wrap it with
	// Log to make a Console (NewConsole).
	ConsoleOut *ConsoleLog
	// Log takes lines of the hypervisor about this domain (xl dmesg), bounded and never blocking.
	Log *Ring
	// Began is when the person's command began: timings count from it.
	Began time.Time
	// Open opens a file of the configuration (kernel, ramdisk) for reading; nil stands for os.Open. The process's sandbox may hold a file
	// that its path no longer leads to.
	Open func(path string) (*os.File, error)
	// Devices has what the domain's disks and network devices are on; nil: there are none.
	Devices Devices
	// Warn takes one-line notes for the person who starts the domain: what engine was picked, what was patched.
	Warn func(string)
}

// Devices keeps what a domain's disks and network devices are on, as the machine says. It outlives the machine, so that a domain that starts again has the devices
// that it had.
type Devices interface {
	// OpenDisk gives the image of a disk, which is not the machine's to close.
	OpenDisk(d config.Disk) (disk.Image, error)
	// KeepDisk takes over the image of a disk that has come, or in place of the one that the disk of that number has had; nil for an empty drive.
	KeepDisk(d config.Disk, i disk.Image)
	// DropDisk closes the image of a disk that has gone.
	DropDisk(d config.Disk)
	// OpenNIC gives what a network device is on: the name of an interface, if it is on one, and a file for each queue (link.Queue), which are the machine's.
	OpenNIC(n config.NIC) (name string, files []*os.File, err error)
	// KeepNIC duplicates the files of a network device that has come.
	KeepNIC(n config.NIC, name string, files []*os.File) error
	// DropNIC closes those of one that has gone.
	DropNIC(n config.NIC)
}

// Reason says why a domain ended.
type Reason struct {
	// Code is one of the Reason* words.
	Code string `json:"code"`
	// Text says more, for people: "triple fault at rip 0x1000".
	Text string `json:"text,omitempty"`
	// Detail holds registers and the last trace records after a crash.
	Detail string `json:"detail,omitempty"`
}

// The reasons of an end, with the codes of SHUTDOWN_* (Xen public/sched.h) where there is one.
const (
	ReasonPoweroff  = "poweroff"   // 0
	ReasonReboot    = "reboot"     // 1
	ReasonSuspend   = "suspend"    // 2
	ReasonCrash     = "crash"      // 3
	ReasonWatchdog  = "watchdog"   // 4
	ReasonSoftReset = "soft-reset" // 5
	ReasonDestroyed = "destroyed"  // by the toolstack: not a guest's reason
)

// ReasonNumber gives the SHUTDOWN_* number of a reason code, or -1.
func ReasonNumber(code string) int {
	for i, c := range []string{ReasonPoweroff, ReasonReboot, ReasonSuspend, ReasonCrash, ReasonWatchdog, ReasonSoftReset} {
		if c == code {
			return i
		}
	}
	return -1
}

// State is the six flags of xl list.
type State struct {
	Running  bool `json:"running"`
	Blocked  bool `json:"blocked"`
	Paused   bool `json:"paused"`
	Shutdown bool `json:"shutdown"`
	Dying    bool `json:"dying"`
	// Reason is the Code of the shutdown, if Shutdown is set.
	Reason string `json:"reason,omitempty"`
}

// Letters gives the six characters of xl list: r b p s, then the letter of the reason, then d.
func (s State) Letters() string {
	b := []byte("------")
	for i, f := range []bool{s.Running, s.Blocked, s.Paused, s.Shutdown} {
		if f {
			b[i] = "rbps"[i]
		}
	}
	if n := ReasonNumber(s.Reason); s.Shutdown && n >= 0 {
		b[4] = "-rscwS"[n]
	}
	if s.Dying {
		b[5] = 'd'
	}
	return string(b)
}

// Info describes a domain. The machine fills the first group, the Server the second.
type Info struct {
	State     State      `json:"state"`
	CPUTime   Nanos      `json:"cpu_time_ns"` // all vCPUs
	MemoryKiB uint64     `json:"memory_kib"`
	MaxMemKiB uint64     `json:"max_memory_kib"`
	MaxVCPUs  int        `json:"max_vcpus"`
	VCPUs     []VCPUInfo `json:"vcpus"`
	Engine    string     `json:"engine"`     // kvm-intel, kvm-amd, soft, ...
	EngineWhy string     `json:"engine_why"` // why this one was picked
	EventABI  string     `json:"event_abi,omitempty"`
	// Paths says how guest and engine reach each other.
	Paths *Paths `json:"paths,omitempty"`
	// Boot says what bootloader= chose from the first disk.
	Boot string `json:"boot,omitempty"`

	Name    string    `json:"name"`
	Domid   int       `json:"domid"`
	UUID    string    `json:"uuid"`
	Type    string    `json:"type"`
	Started time.Time `json:"started"`
	Uptime  Nanos     `json:"uptime_ns"`
	PID     int       `json:"pid"`
	// RSSKiB is the resident memory of the domain process; OverheadKiB the part beyond the guest's own memory.
	RSSKiB      uint64 `json:"rss_kib"`
	OverheadKiB uint64 `json:"overhead_kib"`
	// Sandbox says how the domain process is confined.
	Sandbox *Sandbox `json:"sandbox,omitempty"`
}

// Paths are the ways between a guest and its engine, in words, and why they were chosen (pvh.Paths).
type Paths struct {
	Hypercalls string   `json:"hypercalls"` // how the guest's hypercalls reach us
	APIC       string   `json:"apic"`       // whose the interrupt controllers are
	Events     string   `json:"events"`     // which event channel ABI the guest may have; Info.EventABI is the one it has
	Upcall     string   `json:"upcall"`     // by whom upcalls are delivered
	Timer      string   `json:"timer"`      // by whom timers are kept
	Memory     string   `json:"memory"`     // what lies behind the guest's memory
	Why        []string `json:"why,omitempty"`
}

// Sandbox says how a domain process is confined (hypervisor/sandbox).
type Sandbox struct {
	// Off: the configuration says sandbox=0.
	Off            bool   `json:"off,omitempty"`
	NoNewPrivs     bool   `json:"no_new_privs"`
	NoCapabilities bool   `json:"no_capabilities"`
	Limits         bool   `json:"limits"`
	Landlock       int    `json:"landlock"` // version of the host's interface, 0 without
	Seccomp        bool   `json:"seccomp"`
	Cgroup         string `json:"cgroup,omitempty"`
	// Missing names what the host does not give, with the reason.
	Missing []string `json:"missing,omitempty"`
}

// Nanos is a duration, a plain number of nanoseconds in JSON.
type Nanos = time.Duration

// VCPUInfo describes one vCPU.
type VCPUInfo struct {
	ID      int   `json:"id"`
	Online  bool  `json:"online"`
	Running bool  `json:"running"`
	Blocked bool  `json:"blocked"`
	CPU     int   `json:"cpu"` // host CPU it last ran on, -1 if unknown
	Time    Nanos `json:"time_ns"`
	// Instructions is the number of guest instructions finished, 0 where the engine cannot count.
	Instructions uint64 `json:"instructions,omitempty"`
	// Thread is the id of the host's thread that runs it; 0 where it has none of its own.
	Thread int `json:"thread,omitempty"`
	// Affinity lists the host CPUs it may run on; nil means all.
	Affinity []int `json:"affinity,omitempty"`
}

// Stats holds the counters that are always on, each list sorted by falling count.
type Stats struct {
	Exits      []Counter `json:"exits"`      // by exact cause: "io:0x42:in", "hypercall", "hlt"
	Hypercalls []Counter `json:"hypercalls"` // by name and sub-operation: "event_channel_op/send"
	Events     []Counter `json:"events,omitempty"`
	Timings    []Timing  `json:"timings"`
}

// Counter is one named count.
type Counter struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// Timing is one milestone of the boot, counted from Options.Began.
type Timing struct {
	Name         string `json:"name"`    // built, entry, first-console-byte, init, end
	Wall         Nanos  `json:"wall_ns"` // since Options.Began
	CPU          Nanos  `json:"cpu_ns"`  // CPU time of the process by then
	Instructions uint64 `json:"instructions,omitempty"`
}
