package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"gozen/hypervisor/config"
)

// Server serves one domain on the control socket of its run folder.
type Server struct {
	entry   *Entry
	machine Machine
	ring    *Ring
	http    *http.Server
	stop    context.CancelFunc

	streams sync.WaitGroup // console viewers
	watches sync.WaitGroup // xenstore watchers

	destroyed chan struct{} // closed by the first destroy
	decided   chan struct{} // closed by SetOutcome
	retired   chan struct{} // closed by Retire
	gone      chan struct{} // closed by Close

	// inUse is held for reading while a handler calls the machine; isRetired is guarded by it.
	inUse     sync.RWMutex
	isRetired bool

	mu        sync.Mutex
	isDestroy bool
	outcome   Ended
	isDecided bool
}

// Serve starts a server for machine in the run folder of entry. It returns once the socket accepts connections.
func Serve(entry *Entry, machine Machine, ring *Ring) (*Server, error) {
	l, err := listenUnix(entry.Dir)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{entry: entry, machine: machine, ring: ring, stop: stop,
		destroyed: make(chan struct{}), decided: make(chan struct{}), retired: make(chan struct{}), gone: make(chan struct{})}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0)}
	go func() { _ = s.http.Serve(l) }()
	return s, nil
}

// Destroyed is closed when a client asked for the end of the domain.
func (s *Server) Destroyed() <-chan struct{} { return s.destroyed }

// SetOutcome tells waiting clients how the domain ended and what was done about it. Only the first call counts.
func (s *Server) SetOutcome(e Ended) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isDecided {
		s.isDecided, s.outcome = true, e
		close(s.decided)
	}
}

// Retire makes sure that no client reaches the machine any more, so that it can be closed. Waiting clients and
// console viewers stay, everything else is answered with ErrEnded. Call it once.
func (s *Server) Retire() {
	s.inUse.Lock()
	s.isRetired = true
	s.inUse.Unlock()
	close(s.retired)
	s.watches.Wait()
}

// use calls f unless the server is retired.
func (s *Server) use(f func() error) error {
	s.inUse.RLock()
	defer s.inUse.RUnlock()
	if s.isRetired {
		return ErrEnded
	}
	return f()
}

// Close ends the server. Console viewers and waiting clients get a moment to take what is theirs.
func (s *Server) Close() {
	close(s.gone)
	drained := make(chan struct{})
	go func() { s.streams.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(2 * time.Second):
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.http.Shutdown(ctx)
	s.stop()
	_ = s.http.Close()
}

func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) {
		var in Info
		s.reply(w, &in, func() error { in = s.info(); return nil })
	})
	m.HandleFunc("GET /v1/config", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.entry.Config()) })
	m.HandleFunc("GET /v1/stats", func(w http.ResponseWriter, _ *http.Request) {
		var st Stats
		s.reply(w, &st, func() error { st = s.machine.Stats(); return nil })
	})
	m.HandleFunc("GET /v1/dmesg", s.dmesg)
	m.HandleFunc("GET /v1/wait", s.wait)
	m.HandleFunc("GET /v1/console", s.console)
	m.HandleFunc("GET /v1/xenstore/watch", s.watch)
	m.HandleFunc("POST /v1/pause", func(w http.ResponseWriter, _ *http.Request) { done(w, s.use(s.machine.Pause)) })
	m.HandleFunc("POST /v1/unpause", func(w http.ResponseWriter, _ *http.Request) { done(w, s.use(s.machine.Unpause)) })
	m.HandleFunc("POST /v1/destroy", func(w http.ResponseWriter, _ *http.Request) { s.Destroy(); done(w, nil) })
	m.HandleFunc("POST /v1/shutdown", s.shutdown)
	m.HandleFunc("POST /v1/rename", s.rename)
	m.HandleFunc("POST /v1/xenstore", s.xenstore)
	m.HandleFunc("POST /v1/disks", s.attachDisk)
	m.HandleFunc("POST /v1/disks/detach", s.detachDisk)
	m.HandleFunc("POST /v1/disks/insert", s.insertCD)
	m.HandleFunc("POST /v1/disks/eject", s.ejectCD)
	m.HandleFunc("GET /debug/pprof/guest", s.profile)
	m.HandleFunc("POST /v1/nics", s.attachNIC)
	m.HandleFunc("POST /v1/nics/detach", s.detachNIC)
	return m
}

// Destroy ends the domain as a client would.
func (s *Server) Destroy() {
	s.mu.Lock()
	first := !s.isDestroy
	s.isDestroy = true
	s.mu.Unlock()
	if first {
		close(s.destroyed)
		_ = s.use(func() error { s.machine.Destroy(); return nil })
	}
}

// info joins what the machine knows with what the process knows.
func (s *Server) info() Info {
	in := s.machine.Info()
	cfg := s.entry.Config()
	in.Name, in.UUID, in.Type, in.Domid = cfg.Name, cfg.UUID, string(cfg.Type), int(s.entry.Domid)
	in.Started, in.Uptime, in.PID = s.entry.started, time.Since(s.entry.started), os.Getpid()
	in.Sandbox = s.entry.Sandbox
	in.RSSKiB, in.OverheadKiB = residentMemory(s.machine.GuestRanges())
	select {
	case <-s.machine.Done():
		in.State = State{Shutdown: true, Reason: s.machine.Reason().Code}
	default:
	}
	s.mu.Lock()
	in.State.Dying = s.isDestroy
	s.mu.Unlock()
	return in
}

func (s *Server) dmesg(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(s.ring.Bytes(r.FormValue("clear") == "1"))
}

// reply answers with v after f, called under use, has filled it.
func (s *Server) reply(w http.ResponseWriter, v any, f func() error) {
	if err := s.use(f); err != nil {
		fail(w, http.StatusConflict, err)
		return
	}
	answer(w, v)
}

// wait answers once the domain has shut down (for=shutdown), once it is decided what comes of that (for=outcome), or once it
// is gone (for=death).
func (s *Server) wait(w http.ResponseWriter, r *http.Request) {
	on := s.gone
	var early <-chan struct{} // nil blocks for ever
	switch f := r.FormValue("for"); f {
	case "death":
	case "outcome":
		on = s.decided
	case "shutdown":
		on, early = s.decided, s.machine.Done()
	default:
		fail(w, http.StatusBadRequest, fmt.Errorf("wait for %q is none of shutdown, outcome, death", f))
		return
	}
	// The header goes out at once, so that the client knows that it will miss nothing.
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-on:
	case <-early:
	case <-r.Context().Done():
		return
	}
	s.mu.Lock()
	e, known := s.outcome, s.isDecided
	s.mu.Unlock()
	if !known {
		e = Ended{Reason: s.machine.Reason()}
	}
	answer(w, e)
}

func (s *Server) shutdown(w http.ResponseWriter, r *http.Request) {
	var q shutdownRequest
	if !decode(w, r, &q) {
		return
	}
	switch q.Word {
	case "poweroff", "reboot", "halt", "suspend", PowerButton:
	default:
		fail(w, http.StatusBadRequest, fmt.Errorf("shutdown word %q is none of poweroff, reboot, halt, suspend, %s", q.Word, PowerButton))
		return
	}
	select {
	case <-s.machine.Done():
		fail(w, http.StatusConflict, ErrEnded)
	default:
		done(w, s.use(func() error { return s.machine.Shutdown(q.Word) }))
	}
}

func (s *Server) rename(w http.ResponseWriter, r *http.Request) {
	var q renameRequest
	if !decode(w, r, &q) {
		return
	}
	done(w, s.Rename(q.Name))
}

// Rename gives the domain another name as a client would.
func (s *Server) Rename(name string) error {
	return s.use(func() error {
		if err := s.entry.Rename(name); err != nil {
			return err
		}
		s.machine.Renamed(name)
		return nil
	})
}

// console turns the connection into two streams of bytes: the guest's output and its input.
func (s *Server) console(w http.ResponseWriter, r *http.Request) {
	from := int64(-1)
	if v := r.FormValue("from"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			fail(w, http.StatusBadRequest, fmt.Errorf("console offset %q is not a number", v))
			return
		}
		from = n
	}
	h, ok := w.(http.Hijacker)
	if !ok || r.Header.Get("Upgrade") != consoleProto {
		fail(w, http.StatusUpgradeRequired, errors.New("this needs Connection: Upgrade and Upgrade: "+consoleProto))
		return
	}
	var c Console
	var out io.ReadCloser
	if err := s.use(func() error { c = s.machine.Console(); out = c.Subscribe(from); return nil }); err != nil {
		fail(w, http.StatusConflict, err)
		return
	}
	s.streams.Add(1)
	defer s.streams.Done()
	defer out.Close()
	conn, buf, err := h.Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Time{})
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", consoleProto)
	go func() {
		if s.feedConsole(c, buf) {
			out.Close()
		}
	}()
	go func() { // ends with the handler, or frees it from a stuck viewer when the server stops
		<-r.Context().Done()
		out.Close()
		_ = conn.SetWriteDeadline(time.Now())
	}()
	// Plain Write calls: a viewer that stops reading blocks only itself.
	p := make([]byte, 16<<10)
	for {
		n, err := out.Read(p)
		if n > 0 {
			if _, werr := conn.Write(p[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// feedConsole copies a viewer's keys to the guest, waiting while the guest has no room. It says whether
// the viewer went away (and not the domain).
func (s *Server) feedConsole(c Console, in io.Reader) (gone bool) {
	p := make([]byte, 4096)
	for {
		n, err := in.Read(p)
		for rest := p[:n]; len(rest) > 0; {
			var k int
			werr := s.use(func() (err error) { k, err = c.Write(rest); return err })
			if werr != nil {
				k = len(rest) // nobody takes input: drop it
			}
			if rest = rest[k:]; len(rest) > 0 {
				select {
				case <-s.machine.Done():
					return false
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
		if err != nil {
			return true
		}
	}
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("request body: %w", err))
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func done(w http.ResponseWriter, err error) {
	if err != nil {
		fail(w, http.StatusConflict, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(replyOf(err))
}

// replyOf gives the form of an error on the socket; no error has an empty text.
func replyOf(err error) errorReply {
	if err == nil {
		return errorReply{}
	}
	reply := errorReply{Error: err.Error(), Code: errorCode(err)}
	var ce *config.Error
	if errors.As(err, &ce) {
		reply.Detail = ce
	}
	return reply
}
