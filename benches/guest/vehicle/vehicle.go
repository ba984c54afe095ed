package vehicle

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/initramfs"
)

// The environment of the guest's first process.
const (
	envNames   = "GAUGE"
	envMode    = "GAUGE_MODE"
	envBatches = "GAUGE_BATCHES"
)

// Cmdline is the kernel command line that makes a guest measure these operations, in a mode whose name it prints.
func Cmdline(mode string, names []string, batches int) string {
	return fmt.Sprintf("console=hvc0 quiet panic=-1 %s=%s %s=%s %s=%d", envNames, strings.Join(names, ","), envMode, mode, envBatches, batches)
}

// Initramfs makes a RAM disk whose /init is the static program at a path.
func Initramfs(program string) ([]byte, error) {
	if err := static(program); err != nil {
		return nil, err
	}
	var a initramfs.Archive
	a.HostFile("/init", 0o755, program)
	a.Device("/dev/console", 0o600, 5, 1)
	a.Device("/dev/null", 0o666, 1, 3)
	return a.Bytes()
}

// static refuses a program that needs libraries: the guest has none.
func static(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not a static program, as the guest needs: build it with CGO_ENABLED=0 (make build does)", program)
		}
	}
	return nil
}

// Wanted tells whether this process is the first of a guest that Cmdline started.
func Wanted() bool { return os.Getpid() == 1 && os.Getenv(envNames) != "" }

// Main measures, and powers the guest off.
func Main() {
	run(os.Stdout, strings.Split(os.Getenv(envNames), ","), os.Getenv(envMode), os.Getenv(envBatches))
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	for {
		time.Sleep(time.Hour)
	}
}

// maxBatches bounds what a person can ask for.
const maxBatches = 512

// run writes the lines of a whole life.
func run(w io.Writer, names []string, mode, batches string) {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	say := func(format string, args ...any) { fmt.Fprintf(w, "gauge: "+format+"\r\n", args...) }
	say("hello 1 mode %s", mode)
	var u unix.Utsname
	_ = unix.Uname(&u)
	say("fact kernel Linux %s", unix.ByteSliceToString(u.Release[:]))
	say("fact tsc-khz 0")
	say("fact timer-ticks 0")
	n, err := strconv.Atoi(batches)
	if err != nil || n < 1 || n > maxBatches {
		n = 1
	}
	for _, o := range List() {
		if !slices.Contains(names, o.Name) {
			continue
		}
		say("begin %s", o.Name)
		times, err := o.measure(n)
		if err != nil {
			say("skip %s %v", o.Name, err)
			continue
		}
		for _, t := range times {
			say("batch %s ops %08d ns %012d", o.Name, o.Ops, t.Nanoseconds())
		}
	}
	say("end")
}

// measure does batches of an operation. The first, which is not counted, finds caches and pages cold.
func (o *Op) measure(batches int) ([]time.Duration, error) {
	op, end, err := o.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	var times []time.Duration
	for i := range batches + 1 {
		began := time.Now()
		for range o.Ops {
			if err := op(); err != nil {
				return nil, err
			}
		}
		if took := time.Since(began); i > 0 {
			times = append(times, took)
		}
	}
	return times, nil
}
