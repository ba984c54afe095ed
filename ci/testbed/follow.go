package testbed

import (
	"errors"
	"io"
	"os"
	"time"
)

// A follower copies a file that grows, which need not be there yet.
type follower struct {
	path string
	to   io.Writer
	file *os.File
}

// poll copies what is new.
func (f *follower) poll() error {
	if f.file == nil {
		file, err := os.Open(f.path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		f.file = file
	}
	_, err := io.Copy(f.to, f.file)
	return err
}

func (f *follower) close() {
	if f.file != nil {
		f.file.Close()
	}
}

// pollEvery is how often the emulator's files are read.
const pollEvery = 20 * time.Millisecond

// lines passes only whole lines on, so that what comes from several sides stays readable.
type lines struct {
	to   io.Writer
	part []byte
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for i := len(l.part) - 1; i >= 0; i-- {
		if l.part[i] == '\n' {
			_, err := l.to.Write(l.part[:i+1])
			l.part = l.part[i+1:]
			return len(p), err
		}
	}
	return len(p), nil
}

// flush passes on what has no line end.
func (l *lines) flush() {
	if len(l.part) > 0 {
		_, _ = l.to.Write(append(l.part, '\n'))
		l.part = nil
	}
}
