package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Profiler is a Machine whose guest can be profiled.
type Profiler interface {
	// Profile writes a profile of pprof once ctx or the domain has ended. kind is one of ProfileKinds; rate is how many CPU samples it takes in a second of each vCPU.
	Profile(ctx context.Context, kind string, rate int, w io.Writer) error
}

// ProfileKinds are the kinds of profiles: where the guest is, and what it is left for.
var ProfileKinds = []string{"cpu", "exit"}

// The rate of CPU samples: a prime, so as not to beat with the guest's own ticks.
const (
	DefaultRate = 97
	MaxRate     = 10000
)

// Bounds of a profile's length, in seconds.
const (
	defaultSeconds = 10
	maxSeconds     = 3600
)

// profile is GET /debug/pprof/guest?seconds=N&profile=KIND&rate=N.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	number := func(key string, usual, most int) (int, error) {
		v := r.FormValue(key)
		if v == "" {
			return usual, nil
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > most {
			return 0, fmt.Errorf("%s=%s: give a number from 1 to %d", key, v, most)
		}
		return n, nil
	}
	seconds, err := number("seconds", defaultSeconds, maxSeconds)
	rate, err2 := number("rate", DefaultRate, MaxRate)
	kind := r.FormValue("profile")
	if kind == "" {
		kind = ProfileKinds[0]
	}
	if !slices.Contains(ProfileKinds, kind) {
		err = fmt.Errorf("profile=%s: the kinds are %v", kind, ProfileKinds)
	}
	if err = errors.Join(err, err2); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	var out bytes.Buffer
	err = s.use(func() error {
		p, ok := s.machine.(Profiler)
		if !ok {
			return errors.New("this domain cannot be profiled")
		}
		return p.Profile(ctx, kind, rate, &out)
	})
	if err != nil {
		done(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(out.Bytes())
}

// Profile has a profile taken and written to w; see Profiler.
func (c *Client) Profile(ctx context.Context, kind string, length time.Duration, rate int, w io.Writer) error {
	q := url.Values{"profile": {kind}, "rate": {strconv.Itoa(rate)}, "seconds": {strconv.Itoa(int((length + time.Second - 1) / time.Second))}}
	resp, err := c.send(ctx, "GET", "/debug/pprof/guest?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return remoteError(resp)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}
