package control

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// ConsoleSegment is how many bytes of console output one log file holds. The file before it is kept too, so a guest
// that floods its console costs at most twice this on disk.
const ConsoleSegment = 8 << 20

// ConsoleLog keeps a guest's console output in a file from byte 0 on and lets any number of readers follow it. Past
// ConsoleSegment bytes the file becomes PATH.old and a new one starts; readers that are further behind miss bytes.
type ConsoleLog struct {
	mu      sync.Mutex
	cond    *sync.Cond
	path    string
	segment int64
	cur     *os.File
	old     *os.File
	start   int64 // offset of the first byte of cur
	end     int64 // bytes written so far
	closed  bool
	failed  error
	onFirst func()
}

// NewConsoleLog starts an empty log at path.
func NewConsoleLog(path string) (*ConsoleLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("console log: %w", err)
	}
	l := &ConsoleLog{path: path, cur: f, segment: ConsoleSegment}
	l.cond = sync.NewCond(&l.mu)
	return l, nil
}

// OnFirst has f called once, when the first byte is written (a milestone of the boot). Set it before the guest runs.
func (l *ConsoleLog) OnFirst(f func()) {
	l.mu.Lock()
	l.onFirst = f
	l.mu.Unlock()
}

// Write appends output of the guest. It never fails: when the disk is full the bytes are dropped and the
// domain goes on.
func (l *ConsoleLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	if l.closed || len(p) == 0 {
		l.mu.Unlock()
		return len(p), nil
	}
	var first func()
	if l.end == 0 {
		first = l.onFirst
	}
	for rest := p; len(rest) > 0; {
		if l.end-l.start >= l.segment {
			l.roll()
		}
		n := min(int64(len(rest)), l.segment-(l.end-l.start))
		if _, err := l.cur.WriteAt(rest[:n], l.end-l.start); err != nil {
			l.failed = err
			break
		}
		l.end += n
		rest = rest[n:]
	}
	l.cond.Broadcast()
	l.mu.Unlock()
	if first != nil {
		first()
	}
	return len(p), nil
}

// roll starts the next segment; on failure the current one is reused from its start.
func (l *ConsoleLog) roll() {
	l.failed = os.Rename(l.path, l.path+".old")
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		l.failed = err
		_ = l.cur.Truncate(0)
		l.start = l.end
		if l.old != nil {
			l.old.Close()
			l.old = nil
		}
		return
	}
	if l.old != nil {
		l.old.Close()
	}
	l.old, l.cur, l.start = l.cur, f, l.end
}

// Size gives the number of bytes written so far.
func (l *ConsoleLog) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// Close ends the log: readers get io.EOF once they have read everything. The file stays.
func (l *ConsoleLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.cond.Broadcast()
	return nil
}

// Release closes the files; readers get io.EOF at once.
func (l *ConsoleLog) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.cur != nil {
		l.cur.Close()
		l.cur = nil
	}
	if l.old != nil {
		l.old.Close()
		l.old = nil
	}
	l.cond.Broadcast()
}

// Subscribe gives a reader from byte offset from on; -1 is the present end. Bytes that are no longer kept are skipped.
func (l *ConsoleLog) Subscribe(from int64) io.ReadCloser {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from < 0 || from > l.end {
		from = l.end
	}
	return &consoleReader{log: l, at: from}
}

type consoleReader struct {
	log    *ConsoleLog
	at     int64
	closed bool
}

// Read blocks until the guest has written more.
func (r *consoleReader) Read(p []byte) (int, error) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for !r.closed && !l.closed && r.at >= l.end {
		l.cond.Wait()
	}
	switch {
	case r.closed:
		return 0, os.ErrClosed
	case l.cur == nil || r.at >= l.end:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	f, base, limit := l.cur, l.start, l.end
	if r.at < l.start {
		if l.old == nil {
			r.at = l.start // nothing before it is kept
		} else {
			f, base, limit = l.old, l.start-l.segment, l.start
			r.at = max(r.at, base)
		}
	}
	n, err := f.ReadAt(p[:min(int64(len(p)), limit-r.at)], r.at-base)
	r.at += int64(n)
	if n > 0 || errors.Is(err, io.EOF) {
		err = nil
	}
	if n == 0 && err == nil {
		err = io.ErrUnexpectedEOF // somebody cut the file
	}
	return n, err
}

// Close wakes a blocked Read.
func (r *consoleReader) Close() error {
	r.log.mu.Lock()
	r.closed = true
	r.log.cond.Broadcast()
	r.log.mu.Unlock()
	return nil
}

// NewConsole makes a Console of a log and a function that takes input for the guest (see Console.Write).
func NewConsole(log *ConsoleLog, input func([]byte) (int, error)) Console {
	return &logConsole{ConsoleLog: log, input: input}
}

type logConsole struct {
	*ConsoleLog
	input func([]byte) (int, error)
}

// Write gives input to the guest, not to the log.
func (c *logConsole) Write(p []byte) (int, error) { return c.input(p) }
