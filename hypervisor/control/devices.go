package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
)

// Disks is a Machine whose disks come and go while it runs.
type Disks interface {
	// AttachDisk gives the guest a disk; the file belongs to the machine from then on, also on an error.
	AttachDisk(d config.Disk, f *os.File) error
	// DetachDisk takes the disk with a number (config.Disk.Number) away once the guest has let it go, or at once with force. ErrBusy means that the
	// guest has not, when ctx ended.
	DetachDisk(ctx context.Context, number int, force bool) error
}

// ErrBusy is a device that the guest has not let go.
var ErrBusy = errors.New("the guest has not let the device go: it may be in use")

// detachTime is how long a guest may take to let a device go, as in libxl.
const detachTime = 10 * time.Second

// fileProto takes an open file over a connection: after the switch of protocols the client sends one byte with the file (SCM_RIGHTS, unix(7)), and
// gets a JSON line, errorReply with an empty error if all is well.
const fileProto = "gozen-file"

func (s *Server) disks() (Disks, error) {
	if d, ok := s.machine.(Disks); ok {
		return d, nil
	}
	return nil, errors.New("this domain's disks are fixed")
}

// attachDisk is POST /v1/disks?disk=JSON.
func (s *Server) attachDisk(w http.ResponseWriter, r *http.Request) {
	var d config.Disk
	if err := json.Unmarshal([]byte(r.FormValue("disk")), &d); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("disk: %w", err))
		return
	}
	if e := d.Check(); e != nil {
		fail(w, http.StatusBadRequest, e)
		return
	}
	h, ok := w.(http.Hijacker)
	if !ok || r.Header.Get("Upgrade") != fileProto {
		fail(w, http.StatusUpgradeRequired, errors.New("this needs Connection: Upgrade and Upgrade: "+fileProto))
		return
	}
	conn, _, err := h.Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(detachTime))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", fileProto)
	f, err := receiveFile(conn, d.Path)
	if err == nil {
		err = s.use(func() error {
			m, err := s.disks()
			if err != nil {
				f.Close()
				return err
			}
			return m.AttachDisk(d, f)
		})
	}
	_ = json.NewEncoder(conn).Encode(replyOf(err))
}

// receiveFile takes the one file that comes over a Unix socket.
func receiveFile(conn net.Conn, name string) (*os.File, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("files come over Unix sockets only")
	}
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4*16))
	n, m, _, _, err := u.ReadMsgUnix(b, oob)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("receive the file: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	list, err := unix.ParseSocketControlMessage(oob[:m])
	if err != nil {
		return nil, fmt.Errorf("receive the file: %w", err)
	}
	var fds []int
	for i := range list {
		got, err := unix.ParseUnixRights(&list[i])
		if err == nil {
			fds = append(fds, got...)
		}
	}
	for i := 1; i < len(fds); i++ {
		_ = unix.Close(fds[i])
	}
	if len(fds) == 0 {
		return nil, errors.New("receive the file: none came")
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), name), nil
}

type detachRequest struct {
	Number int  `json:"number"`
	Force  bool `json:"force,omitempty"`
}

// detachDisk is POST /v1/disks/detach.
func (s *Server) detachDisk(w http.ResponseWriter, r *http.Request) {
	var q detachRequest
	if !decode(w, r, &q) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), detachTime)
	defer cancel()
	done(w, s.use(func() error {
		m, err := s.disks()
		if err != nil {
			return err
		}
		return m.DetachDisk(ctx, q.Number, q.Force)
	}))
}

// AttachDisk gives the guest a disk whose image is f, opened as d says.
func (c *Client) AttachDisk(ctx context.Context, d config.Disk, f *os.File) error {
	conn, err := dialUnix(ctx, c.dir)
	if err != nil {
		return fmt.Errorf("talk to the domain process: %w", err)
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", "http://domain/v1/disks", nil)
	if err != nil {
		return err
	}
	q := req.URL.Query()
	q.Set("disk", string(body))
	req.URL.RawQuery = q.Encode()
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", fileProto)
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("talk to the domain process: %w", err)
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		return fmt.Errorf("talk to the domain process: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		return remoteError(resp)
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("talk to the domain process: not a Unix socket")
	}
	if _, _, err := u.WriteMsgUnix([]byte{0}, unix.UnixRights(int(f.Fd())), nil); err != nil {
		return fmt.Errorf("talk to the domain process: %w", err)
	}
	var e errorReply
	if err := json.NewDecoder(io.LimitReader(br, maxBody)).Decode(&e); err != nil {
		return fmt.Errorf("answer of the domain process: %w", err)
	}
	if e.Error != "" {
		return &RemoteError{Status: http.StatusConflict, Code: e.Code, Text: e.Error, Detail: e.Detail}
	}
	return nil
}

// DetachDisk takes a disk away; see Disks.
func (c *Client) DetachDisk(ctx context.Context, number int, force bool) error {
	return c.do(ctx, "POST", "/v1/disks/detach", detachRequest{number, force}, nil)
}
