package process

import (
	"os"
	"runtime"
	"strconv"
	"sync"
)

// monitorSlack is how late the monitor of Go's scheduler may look around. It does so every 20 microseconds for a while after a thread came back from a
// long system call, as each vCPU does all the time, and on a host with one processor that interrupts the guest.
const monitorSlack = "10000000" // nanoseconds

// spareThreads are made before, so that the monitor, which starts threads where none is idle, makes none itself: they would have its slack, and
// when they look for work, which they do with short sleeps between, each would last as long.
const spareThreads = 8

// calm gives the monitor's thread that slack. It is the first that the runtime makes, before any init function, and threads are listed in
// the order of their making. Where it cannot be done, nothing is lost but time.
func calm() {
	makeThreads(spareThreads)
	if t, err := os.ReadDir("/proc/self/task"); err == nil && len(t) > 1 && t[0].Name() == strconv.Itoa(os.Getpid()) {
		_ = os.WriteFile("/proc/"+t[1].Name()+"/timerslack_ns", []byte(monitorSlack), 0)
	}
}

// makeThreads leaves so many idle threads to the runtime: each of so many goroutines has one of its own until all have.
func makeThreads(n int) {
	var have, end sync.WaitGroup
	have.Add(n)
	for range n {
		end.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			have.Done()
			have.Wait()
		})
	}
	end.Wait()
}
