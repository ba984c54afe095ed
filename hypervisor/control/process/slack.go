package process

import (
	"os"
	"strconv"
)

// monitorSlack is how late the monitor of Go's scheduler may look around. It does so every 20 microseconds for a while after a thread came back from a
// long system call, as each vCPU does all the time, and on a host with one processor that interrupts the guest.
const monitorSlack = "10000000" // nanoseconds

// calm gives the monitor's thread that slack. It is the first that the runtime makes, before any init function, and threads are listed in
// the order of their making. Where it cannot be done, nothing is lost but time.
func calm() {
	if t, err := os.ReadDir("/proc/self/task"); err == nil && len(t) > 1 && t[0].Name() == strconv.Itoa(os.Getpid()) {
		_ = os.WriteFile("/proc/"+t[1].Name()+"/timerslack_ns", []byte(monitorSlack), 0)
	}
}
