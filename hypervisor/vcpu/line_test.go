package vcpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeUpcall is one vCPU's flag and interrupt line, and a guest that sees both.
type fakeUpcall struct {
	flag  atomic.Bool // evtchn_upcall_pending
	level atomic.Bool // the line
	sets  atomic.Int64
	line  line
}

func newFakeUpcall() *fakeUpcall {
	f := &fakeUpcall{}
	f.line.pending = f.flag.Load
	f.line.set = func(level bool) error {
		f.level.Store(level)
		f.sets.Add(1)
		return nil
	}
	return f
}

// send is what evtchn does: an event, then the flag, and a raise if it was 0.
func (f *fakeUpcall) send(event *atomic.Int64) {
	event.Add(1)
	if !f.flag.Swap(true) {
		f.line.raise()
	}
}

// TestLine_noEventIsLost: a guest that looks for events only when its line is high sees every event, however clearing the flag, raising
// and lowering interleave.
func TestLine_noEventIsLost(t *testing.T) {
	const events, senders = 20000, 3
	f := newFakeUpcall()
	var sent, seen atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Add(2)
	go func() { // the watcher, without a pause
		defer wg.Done()
		for !stop.Load() {
			f.line.check()
		}
	}()
	go func() { // the guest
		defer wg.Done()
		for !stop.Load() {
			if !f.level.Load() {
				runtime.Gosched()
				continue
			}
			f.flag.Store(false)
			seen.Store(sent.Load())
		}
	}()
	var senderWG sync.WaitGroup
	for range senders {
		senderWG.Add(1)
		go func() {
			defer senderWG.Done()
			for range events {
				f.send(&sent)
			}
		}()
	}
	senderWG.Wait()
	for end := time.Now().Add(20 * time.Second); seen.Load() != senders*events; {
		if time.Now().After(end) {
			t.Fatalf("%d of %d events seen: flag %v, line %v", seen.Load(), senders*events, f.flag.Load(), f.level.Load())
		}
		runtime.Gosched()
	}
	stop.Store(true)
	wg.Wait()
}

func testWatcher(t *testing.T, f ...*fakeUpcall) *Watcher {
	t.Helper()
	w, err := newWaiter()
	if err != nil {
		t.Fatal(err)
	}
	x := &Watcher{w: w}
	for _, u := range f {
		x.lines = append(x.lines, &u.line)
	}
	x.Start()
	t.Cleanup(x.Stop)
	return x
}

// TestWatcher_endsTheStorm: once a guest has cleared the flag, the line falls soon, without any exit.
func TestWatcher_endsTheStorm(t *testing.T) {
	f := newFakeUpcall()
	x := testWatcher(t, newFakeUpcall(), f)
	var events atomic.Int64
	worst := time.Duration(0)
	for range 50 {
		f.send(&events)
		x.w.kick()
		time.Sleep(100 * time.Microsecond)
		if !f.level.Load() {
			t.Fatal("the line fell while the flag was set")
		}
		f.flag.Store(false)
		began := time.Now()
		for f.level.Load() {
			if time.Since(began) > 10*time.Second {
				t.Fatal("the line stays high")
			}
			runtime.Gosched()
		}
		worst = max(worst, time.Since(began))
	}
	t.Logf("worst %v", worst)
}

// TestWatcher_isPatient: a guest that never clears the flag costs little, and another vCPU's line is lowered promptly all the same.
func TestWatcher_isPatient(t *testing.T) {
	stuck, live := newFakeUpcall(), newFakeUpcall()
	x := testWatcher(t, stuck, live)
	var events atomic.Int64
	stuck.send(&events)
	x.w.kick()
	time.Sleep(200 * time.Millisecond)
	before := x.looks.Load()
	time.Sleep(200 * time.Millisecond)
	if n := x.looks.Load() - before; n > 20 {
		t.Errorf("%d looks in 200 ms at a guest that does not react", n)
	}
	live.send(&events)
	x.w.kick()
	live.flag.Store(false)
	for end := time.Now().Add(10 * time.Second); live.level.Load(); {
		if time.Now().After(end) {
			t.Fatal("the line stays high")
		}
		time.Sleep(time.Millisecond)
	}
	if !stuck.level.Load() {
		t.Error("the other line fell")
	}
}

func TestPause_bounds(t *testing.T) {
	for _, tt := range []struct{ waited, want time.Duration }{
		{0, watchFirst}, {100 * time.Microsecond, 100 * time.Microsecond}, {time.Millisecond, watchSoon}, {patience - 1, watchSoon},
		{patience, patience / 4}, {time.Hour, watchLate},
	} {
		if got := pause(tt.waited); got != tt.want {
			t.Errorf("after %v: %v, want %v", tt.waited, got, tt.want)
		}
	}
}
