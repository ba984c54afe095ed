package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"gozen/hypervisor/config"
)

// Client talks to the process of one domain. It may be used from several goroutines.
type Client struct {
	dir  string
	http *http.Client
}

// NewClient makes a Client for the domain with run folder dir (Found.Dir). Nothing is sent yet.
func NewClient(dir string) *Client {
	c := &Client{dir: dir}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialUnix(ctx, dir) },
	}}
	return c
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends a request and decodes the answer into out, unless out is nil.
func (c *Client) do(ctx context.Context, method, path string, body, out any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("answer of the domain process: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://domain"+path, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("talk to the domain process: %w", err)
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, remoteError(resp)
	}
	return resp, nil
}

func remoteError(resp *http.Response) error {
	var e errorReply
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if json.Unmarshal(b, &e) != nil || e.Error == "" {
		e.Error = resp.Status
	}
	return &RemoteError{Status: resp.StatusCode, Code: e.Code, Text: e.Error, Detail: e.Detail}
}

// Info describes the domain.
func (c *Client) Info(ctx context.Context) (in Info, err error) {
	return in, c.do(ctx, "GET", "/v1/info", nil, &in)
}

// Config gives the configuration the domain runs with.
func (c *Client) Config(ctx context.Context) (d config.Domain, err error) {
	return d, c.do(ctx, "GET", "/v1/config", nil, &d)
}

// Stats gives the counters and the milestones of the boot.
func (c *Client) Stats(ctx context.Context) (s Stats, err error) {
	return s, c.do(ctx, "GET", "/v1/stats", nil, &s)
}

// Pause stops the vCPUs.
func (c *Client) Pause(ctx context.Context) error { return c.do(ctx, "POST", "/v1/pause", nil, nil) }

// Unpause lets them run.
func (c *Client) Unpause(ctx context.Context) error {
	return c.do(ctx, "POST", "/v1/unpause", nil, nil)
}

// Destroy ends the domain at once; Wait tells when it is gone.
func (c *Client) Destroy(ctx context.Context) error {
	return c.do(ctx, "POST", "/v1/destroy", nil, nil)
}

// Shutdown asks the guest to end itself: word is poweroff, reboot, halt or suspend. ErrNoParavirt: nobody listens in the guest.
func (c *Client) Shutdown(ctx context.Context, word string) error {
	return c.do(ctx, "POST", "/v1/shutdown", shutdownRequest{word}, nil)
}

// Rename gives the domain another name.
func (c *Client) Rename(ctx context.Context, name string) error {
	return c.do(ctx, "POST", "/v1/rename", renameRequest{name}, nil)
}

// Until says what Client.Wait waits for.
type Until string

// What Client.Wait can wait for: the guest has shut down or is gone; it is decided what comes of it
// (restart, preserve, ...); the domain is gone.
const (
	UntilShutdown Until = "shutdown"
	UntilOutcome  Until = "outcome"
	UntilDeath    Until = "death"
)

// Wait blocks until the domain has come to u. A domain process that dies without an answer gives ErrEnded.
func (c *Client) Wait(ctx context.Context, u Until) (Ended, error) {
	await, err := c.BeginWait(ctx, u)
	if err != nil {
		return Ended{}, err
	}
	return await()
}

// BeginWait is Wait in two steps: once it has returned, the function that it gives will get the answer, however soon the
// domain ends. That function must be called, or ctx ended.
func (c *Client) BeginWait(ctx context.Context, u Until) (await func() (Ended, error), err error) {
	gone := func(err error) error {
		var re *RemoteError
		if ctx.Err() != nil || errors.As(err, &re) {
			return err
		}
		return fmt.Errorf("its process went away (%w): %w", err, ErrEnded)
	}
	resp, err := c.send(ctx, "GET", "/v1/wait?for="+string(u), nil)
	if err != nil {
		return nil, gone(err)
	}
	return func() (e Ended, err error) {
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			return e, gone(err)
		}
		return e, nil
	}, nil
}

// Dmesg gives the hypervisor's messages about the domain, and empties the ring if clear is set.
func (c *Client) Dmesg(ctx context.Context, clear bool) ([]byte, error) {
	path := "/v1/dmesg"
	if clear {
		path += "?clear=1"
	}
	resp, err := c.send(ctx, "GET", path, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// Console opens the guest's console: reads give its output from byte from on (-1: from now on) until the domain
// ends, writes are its input.
func (c *Client) Console(ctx context.Context, from int64) (io.ReadWriteCloser, error) {
	conn, err := dialUnix(ctx, c.dir)
	if err != nil {
		return nil, fmt.Errorf("talk to the domain process: %w", err)
	}
	path := "/v1/console"
	if from >= 0 {
		path += "?from=" + strconv.FormatInt(from, 10)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: domain\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", path, consoleProto)
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("talk to the domain process: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer conn.Close()
		return nil, remoteError(resp)
	}
	return &consoleConn{Conn: conn, r: br}, nil
}

type consoleConn struct {
	net.Conn
	r *bufio.Reader
}

// Read takes what came with the answer first.
func (c *consoleConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *Client) store(ctx context.Context, q storeRequest) (r storeReply, err error) {
	return r, c.do(ctx, "POST", "/v1/xenstore", q, &r)
}

// StoreRead gives the value at path in the domain's part of xenstore.
func (c *Client) StoreRead(ctx context.Context, path string) ([]byte, error) {
	r, err := c.store(ctx, storeRequest{Op: "read", Path: path})
	return r.Value, err
}

// StoreWrite sets the value at path, making the nodes above it.
func (c *Client) StoreWrite(ctx context.Context, path string, value []byte) error {
	_, err := c.store(ctx, storeRequest{Op: "write", Path: path, Value: value})
	return err
}

// StoreList gives the names below path.
func (c *Client) StoreList(ctx context.Context, path string) ([]string, error) {
	r, err := c.store(ctx, storeRequest{Op: "list", Path: path})
	return r.Children, err
}

// StoreRm removes path and all below.
func (c *Client) StoreRm(ctx context.Context, path string) error {
	_, err := c.store(ctx, storeRequest{Op: "rm", Path: path})
	return err
}

// StorePerms gives the permissions of path, such as "n0", "r5".
func (c *Client) StorePerms(ctx context.Context, path string) ([]string, error) {
	r, err := c.store(ctx, storeRequest{Op: "perms", Path: path})
	return r.Perms, err
}

// StoreChmod sets the permissions of path.
func (c *Client) StoreChmod(ctx context.Context, path string, perms []string) error {
	_, err := c.store(ctx, storeRequest{Op: "chmod", Path: path, Perms: perms})
	return err
}

// StoreWatch calls fire for path itself and then for every change at or below it, until ctx ends (nil) or the domain does (ErrEnded).
func (c *Client) StoreWatch(ctx context.Context, path string, fire func(path string)) error {
	resp, err := c.send(ctx, "GET", "/v1/xenstore/watch?path="+url.QueryEscape(path), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	d := json.NewDecoder(resp.Body)
	for {
		var e watchEvent
		if err := d.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return ErrEnded
		}
		fire(e.Path)
	}
}
