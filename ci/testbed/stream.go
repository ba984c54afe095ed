package testbed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A stream reads what the emulated host sends on its second serial port: what the jobs print, and between it lines of marks:
//
//	@@NONCE ready                 the host is set up
//	@@NONCE begin JOB             what follows is the job's output
//	@@NONCE end JOB STATUS
//	@@NONCE files SIZE SHA256 -   what follows is a tar.gz in base64
//	@@NONCE filed
//	@@NONCE fail WHY              the host could not be set up
//	@@NONCE over                  nothing follows
//
// A line end stands before each mark and belongs to it.
type stream struct {
	prefix []byte // "\n@@NONCE "
	output io.Writer
	// mark, if not nil, hears of each mark.
	mark func(word string)

	buf    []byte
	jobs   []JobResult
	text   *strings.Builder // output of the job that runs, or nil
	base64 *bytes.Buffer    // of the files, while they come
	sum    string
	size   int64
	files  []byte // tar.gz
	over   bool
	err    error
	heard  int // bytes in all
}

func newStream(nonce string, output io.Writer) *stream {
	return &stream{prefix: []byte("\n@@" + nonce + " "), output: output}
}

var errStream = errors.New("damaged results")

// Write implements io.Writer. It never fails: what is wrong is kept in err.
func (s *stream) Write(p []byte) (int, error) {
	s.heard += len(p)
	s.buf = append(s.buf, p...)
	for {
		at := bytes.Index(s.buf, s.prefix)
		if at < 0 {
			s.take(s.buf[:len(s.buf)-s.partial()])
			s.buf = s.buf[len(s.buf)-s.partial():]
			return len(p), nil
		}
		rest := s.buf[at+len(s.prefix):]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			s.take(s.buf[:at])
			s.buf = s.buf[at:]
			return len(p), nil
		}
		s.take(s.buf[:at])
		s.buf = rest[end+1:]
		s.obey(strings.TrimRight(string(rest[:end]), "\r"))
	}
}

// finish takes what was held back because a mark may have begun there.
func (s *stream) finish() {
	if !bytes.HasPrefix(s.buf, s.prefix) {
		s.take(s.buf)
	}
	s.buf = nil
}

// partial tells how much at the end of buf may be the beginning of a prefix.
func (s *stream) partial() int {
	for n := min(len(s.prefix)-1, len(s.buf)); n > 0; n-- {
		if bytes.HasSuffix(s.buf, s.prefix[:n]) {
			return n
		}
	}
	return 0
}

// take gets what stands between the marks.
func (s *stream) take(p []byte) {
	switch {
	case len(p) == 0:
	case s.text != nil:
		s.text.Write(p)
		s.jobs[len(s.jobs)-1].Output = s.text.String()
		_, _ = s.output.Write(p)
	case s.base64 != nil:
		s.base64.Write(p)
	}
}

func (s *stream) obey(mark string) {
	word, args, _ := strings.Cut(mark, " ")
	switch word {
	case "ready":
	case "begin":
		s.jobs = append(s.jobs, JobResult{Name: args, Status: -1})
		s.text = &strings.Builder{}
	case "end":
		s.end(args)
	case "files":
		if _, err := fmt.Sscan(args, &s.size, &s.sum); err != nil {
			s.fail(fmt.Errorf("%w: mark %q", errStream, mark))
		}
		s.base64 = &bytes.Buffer{}
	case "filed":
		s.unpack()
	case "fail":
		s.fail(fmt.Errorf("setting up the emulated host: %s", args))
	case "over":
		s.over = true
	default:
		s.fail(fmt.Errorf("%w: mark %q", errStream, mark))
	}
	if s.mark != nil {
		s.mark(word)
	}
}

func (s *stream) fail(err error) { s.err = errors.Join(s.err, err) }

func (s *stream) end(args string) {
	name, status, _ := strings.Cut(args, " ")
	n, err := strconv.Atoi(status)
	if err != nil || s.text == nil || s.jobs[len(s.jobs)-1].Name != name {
		s.fail(fmt.Errorf("%w: mark %q", errStream, "end "+args))
		return
	}
	s.jobs[len(s.jobs)-1].Status = n
	s.text = nil
}

// unpack checks the files that have come.
func (s *stream) unpack() {
	if s.base64 == nil {
		s.fail(fmt.Errorf("%w: the end of files that have not begun", errStream))
		return
	}
	b, err := base64.StdEncoding.DecodeString(s.base64.String())
	sum := sha256.Sum256(b)
	s.base64 = nil
	if err != nil || int64(len(b)) != s.size || hex.EncodeToString(sum[:]) != s.sum {
		s.fail(fmt.Errorf("%w: %d bytes of files came, not the %d that were sent: %v", errStream, len(b), s.size, err))
		return
	}
	s.files = b
}

// save writes the regular files that have come into dir.
func (s *stream) save(dir string) error {
	if s.files == nil {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(s.files))
	if err != nil {
		return fmt.Errorf("%w: %w", errStream, err)
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errStream, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := filepath.FromSlash(strings.TrimPrefix(h.Name, "./"))
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%w: a file is called %q", errStream, h.Name)
		}
		if err := saveFile(filepath.Join(dir, name), h.FileInfo().Mode().Perm(), t); err != nil {
			return err
		}
	}
}

func saveFile(to string, perm os.FileMode, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, perm|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return errors.Join(err, w.Close())
}
