package backend

import "sync"

// worker runs step in a goroutine whenever it was kicked, and once more when it is stopped.
type worker struct {
	kick chan struct{}
	stop chan struct{}
	done chan struct{}
	once sync.Once
}

func startWorker(step func()) *worker {
	w := &worker{kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.kick:
				step()
			case <-w.stop:
				step()
				return
			}
		}
	}()
	return w
}

// Kick asks for a look at the ring. It never blocks; kicks that come before the look are one.
func (w *worker) Kick() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// close stops the goroutine and waits for it.
func (w *worker) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}
