package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
)

// xenstore does one operation on the domain's part of the tree.
func (s *Server) xenstore(w http.ResponseWriter, r *http.Request) {
	var q storeRequest
	if !decode(w, r, &q) {
		return
	}
	if err := checkStore(&q); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	var reply storeReply
	s.reply(w, &reply, func() (err error) {
		reply, err = storeOp(s.machine.Xenstore(), &q)
		return err
	})
}

func storeOp(x Xenstore, q *storeRequest) (reply storeReply, err error) {
	switch q.Op {
	case "read":
		reply.Value, err = x.Read(q.Path)
	case "write":
		err = x.Write(q.Path, q.Value)
	case "list":
		reply.Children, err = x.List(q.Path)
	case "rm":
		err = x.Rm(q.Path)
	case "perms":
		reply.Perms, err = x.Perms(q.Path)
	case "chmod":
		err = x.SetPerms(q.Path, q.Perms)
	default:
		err = fmt.Errorf("xenstore operation %q: %w", q.Op, syscall.ENOSYS)
	}
	return reply, err
}

func checkStore(q *storeRequest) error {
	switch {
	case len(q.Path) > maxPath || !strings.HasPrefix(q.Path, "/"):
		return fmt.Errorf("xenstore path %.80q: %w", q.Path, syscall.EINVAL)
	case len(q.Value) > maxValue:
		return fmt.Errorf("xenstore value of %d bytes: %w", len(q.Value), syscall.E2BIG)
	case len(q.Perms) > maxPerms:
		return fmt.Errorf("%d xenstore permissions: %w", len(q.Perms), syscall.E2BIG)
	}
	return nil
}

// maxPending bounds the events kept for a watcher that does not read; beyond it
// events are dropped.
const maxPending = 1024

// watch streams one JSON line for each change, until the client goes away or the domain's process ends.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	path := r.FormValue("path")
	if err := checkStore(&storeRequest{Path: path}); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	events := make(chan string, maxPending)
	var stop func()
	err := s.use(func() (err error) {
		stop, err = s.machine.Xenstore().Watch(path, func(p string) {
			select {
			case events <- p:
			default:
			}
		})
		if err == nil {
			s.watches.Add(1)
		}
		return err
	})
	if err != nil {
		fail(w, http.StatusConflict, err)
		return
	}
	defer s.watches.Done()
	defer stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	_ = flush.Flush()
	for {
		select {
		case p := <-events:
			if enc.Encode(watchEvent{Path: p}) != nil || flush.Flush() != nil {
				return
			}
		case <-s.retired:
			return
		case <-r.Context().Done():
			return
		}
	}
}
