package backend

import (
	"sync"
	"sync/atomic"
)

// Worker runs step in a goroutine whenever it was kicked, and once more when it is stopped.
type Worker struct {
	kick chan struct{}
	stop chan struct{}
	done chan struct{}
	once sync.Once

	// running is held while step, or what stands in for it, runs.
	running sync.Mutex
	ended   bool

	// manual: no goroutine; Poll runs step in the caller's, so that a deterministic run has no second thread.
	manual bool
	due    atomic.Bool
	step   func()
	wake   func()
}

// StartWorker starts the goroutine; with wake it starts none, and wake is called when Poll has something to do.
func StartWorker(step, wake func()) *Worker {
	if wake != nil {
		w := &Worker{manual: true, step: step, wake: wake}
		w.due.Store(true)
		return w
	}
	w := &Worker{kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.kick:
				w.run(step)
			case <-w.stop:
				w.run(step)
				return
			}
		}
	}()
	return w
}

// Kick asks for a look at the ring. It never blocks; kicks that come before the look are one.
func (w *Worker) Kick() {
	if w.manual {
		w.due.Store(true)
		w.wake()
		return
	}
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *Worker) run(f func()) {
	w.running.Lock()
	defer w.running.Unlock()
	f()
}

// Try runs f here and now, in place of a look at the ring, unless one is under way, or the worker works without a goroutine, or was stopped.
func (w *Worker) Try(f func()) bool {
	if w.manual || !w.running.TryLock() {
		return false
	}
	defer w.running.Unlock()
	if w.ended {
		return false
	}
	f()
	return true
}

// Stop ends the goroutine and waits for it, and for what Try runs.
func (w *Worker) Stop() {
	if w.manual {
		w.once.Do(w.step)
		return
	}
	w.once.Do(func() { close(w.stop) })
	<-w.done
	w.run(func() { w.ended = true })
}

// Poll does, in manual mode, the look that was asked for. One goroutine calls it.
func (w *Worker) Poll() {
	if w.manual && w.due.Swap(false) {
		w.step()
	}
}
