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
	"net/url"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
)

// Disks is a Machine whose disks come and go while it runs.
type Disks interface {
	// AttachDisk gives the guest a disk: on the file, or on a connection to the process that reads it (config.Disk.Served). It belongs to the machine from then
	// on, also on an error.
	AttachDisk(d config.Disk, f *os.File) error
	// DetachDisk takes the disk with a number (config.Disk.Number) away once the guest has let it go, or at once with force. ErrBusy means that the
	// guest has not, when ctx ended.
	DetachDisk(ctx context.Context, number int, force bool) error
	// ChangeCD puts another medium into the CD-ROM drive that d.Vdev names: f, as in AttachDisk, or none where f is nil. ErrBusy means that the guest has locked
	// the drive and force was not set.
	ChangeCD(d config.Disk, f *os.File, force bool) error
}

// NICs is a Machine whose network devices come and go while it runs.
type NICs interface {
	// AttachNIC gives the guest a network device on the interface of a name, if that is on one, with a file for each queue (link.Queue). They belong to the machine from then on,
	// also on an error.
	AttachNIC(n config.NIC, name string, files []*os.File) error
	// DetachNIC takes the device with a number (config.NIC.ID) away, as DetachDisk does.
	DetachNIC(ctx context.Context, id int, force bool) error
}

// ErrBusy is a device that the guest has not let go.
var ErrBusy = errors.New("the guest has not let the device go: it may be in use")

// detachTime is how long a guest may take to let a device go, as in libxl.
const detachTime = 10 * time.Second

// fileProto takes open files over a connection: after the switch of protocols the client sends one byte with the files (SCM_RIGHTS, unix(7)), and
// gets a JSON line, errorReply with an empty error if all is well.
const fileProto = "gozen-file"

func (s *Server) disks() (Disks, error) {
	if d, ok := s.machine.(Disks); ok {
		return d, nil
	}
	return nil, errors.New("this domain's disks are fixed")
}

func (s *Server) nics() (NICs, error) {
	if n, ok := s.machine.(NICs); ok {
		return n, nil
	}
	return nil, errors.New("this domain's network devices are fixed")
}

// described reads the device that a request has in the field key.
func described[D any, P interface {
	*D
	Check() *config.Error
}](w http.ResponseWriter, r *http.Request, key string) (d D, ok bool) {
	if err := json.Unmarshal([]byte(r.FormValue(key)), &d); err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("%s: %w", key, err))
		return d, false
	}
	if e := P(&d).Check(); e != nil {
		fail(w, http.StatusBadRequest, e)
		return d, false
	}
	return d, true
}

// attachDisk is POST /v1/disks?disk=JSON.
func (s *Server) attachDisk(w http.ResponseWriter, r *http.Request) {
	d, ok := described[config.Disk](w, r, "disk")
	if !ok {
		return
	}
	s.takeFiles(w, r, d.Path, func(files []*os.File) error {
		m, err := s.disks()
		if err == nil && len(files) != 1 {
			err = fmt.Errorf("%d files came for one disk", len(files))
		}
		if err != nil {
			closeAll(files)
			return err
		}
		return m.AttachDisk(d, files[0])
	})
}

// insertCD is POST /v1/disks/insert?disk=JSON&force=BOOL.
func (s *Server) insertCD(w http.ResponseWriter, r *http.Request) {
	d, ok := described[config.Disk](w, r, "disk")
	if !ok {
		return
	}
	force := r.FormValue("force") == "true"
	s.takeFiles(w, r, d.Path, func(files []*os.File) error {
		m, err := s.disks()
		if err == nil && len(files) != 1 {
			err = fmt.Errorf("%d files came for one medium", len(files))
		}
		if err != nil {
			closeAll(files)
			return err
		}
		return m.ChangeCD(d, files[0], force)
	})
}

// ejectCD is POST /v1/disks/eject.
func (s *Server) ejectCD(w http.ResponseWriter, r *http.Request) {
	var q ejectRequest
	if !decode(w, r, &q) {
		return
	}
	done(w, s.use(func() error {
		m, err := s.disks()
		if err != nil {
			return err
		}
		return m.ChangeCD(config.Disk{Vdev: q.Vdev, CDROM: true, ReadOnly: true}, nil, q.Force)
	}))
}

type ejectRequest struct {
	Vdev  string `json:"vdev"`
	Force bool   `json:"force,omitempty"`
}

// attachNIC is POST /v1/nics?nic=JSON&name=INTERFACE.
func (s *Server) attachNIC(w http.ResponseWriter, r *http.Request) {
	n, ok := described[config.NIC](w, r, "nic")
	if !ok {
		return
	}
	name := r.FormValue("name")
	s.takeFiles(w, r, name, func(files []*os.File) error {
		m, err := s.nics()
		if err != nil {
			closeAll(files)
			return err
		}
		return m.AttachNIC(n, name, files)
	})
}

// takeFiles receives open files for do.
func (s *Server) takeFiles(w http.ResponseWriter, r *http.Request, name string, do func([]*os.File) error) {
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
	files, err := receiveFiles(conn, name)
	if err == nil {
		err = s.use(func() error { return do(files) })
	}
	_ = json.NewEncoder(conn).Encode(replyOf(err))
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// maxFiles is how many files come at once at most.
const maxFiles = 16

// receiveFiles takes the files that come over a Unix socket.
func receiveFiles(conn net.Conn, name string) ([]*os.File, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("files come over Unix sockets only")
	}
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, m, _, _, err := u.ReadMsgUnix(b, oob)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("receive the file: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	list, err := unix.ParseSocketControlMessage(oob[:m])
	if err != nil {
		return nil, fmt.Errorf("receive the file: %w", err)
	}
	var files []*os.File
	for i := range list {
		fds, err := unix.ParseUnixRights(&list[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), name))
		}
	}
	if len(files) == 0 {
		return nil, errors.New("receive the file: none came")
	}
	return files, nil
}

type detachRequest struct {
	Number int  `json:"number"`
	Force  bool `json:"force,omitempty"`
}

// detachDisk is POST /v1/disks/detach.
func (s *Server) detachDisk(w http.ResponseWriter, r *http.Request) {
	s.detach(w, r, func(ctx context.Context, q detachRequest) error {
		m, err := s.disks()
		if err != nil {
			return err
		}
		return m.DetachDisk(ctx, q.Number, q.Force)
	})
}

// detachNIC is POST /v1/nics/detach.
func (s *Server) detachNIC(w http.ResponseWriter, r *http.Request) {
	s.detach(w, r, func(ctx context.Context, q detachRequest) error {
		m, err := s.nics()
		if err != nil {
			return err
		}
		return m.DetachNIC(ctx, q.Number, q.Force)
	})
}

func (s *Server) detach(w http.ResponseWriter, r *http.Request, do func(context.Context, detachRequest) error) {
	var q detachRequest
	if !decode(w, r, &q) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), detachTime)
	defer cancel()
	done(w, s.use(func() error { return do(ctx, q) }))
}

// AttachDisk gives the guest a disk on f; see Disks.
func (c *Client) AttachDisk(ctx context.Context, d config.Disk, f *os.File) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return c.sendFiles(ctx, "/v1/disks", url.Values{"disk": {string(body)}}, []*os.File{f})
}

// InsertCD puts another medium into a CD-ROM drive; see Disks.
func (c *Client) InsertCD(ctx context.Context, d config.Disk, f *os.File, force bool) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return c.sendFiles(ctx, "/v1/disks/insert", url.Values{"disk": {string(body)}, "force": {strconv.FormatBool(force)}}, []*os.File{f})
}

// EjectCD leaves a CD-ROM drive empty; see Disks.
func (c *Client) EjectCD(ctx context.Context, vdev string, force bool) error {
	return c.do(ctx, "POST", "/v1/disks/eject", ejectRequest{vdev, force}, nil)
}

// AttachNIC gives the guest a network device; see NICs.
func (c *Client) AttachNIC(ctx context.Context, n config.NIC, name string, files []*os.File) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return c.sendFiles(ctx, "/v1/nics", url.Values{"nic": {string(body)}, "name": {name}}, files)
}

// DetachNIC takes a network device away; see NICs.
func (c *Client) DetachNIC(ctx context.Context, id int, force bool) error {
	return c.do(ctx, "POST", "/v1/nics/detach", detachRequest{id, force}, nil)
}

// sendFiles makes a request that takes open files.
func (c *Client) sendFiles(ctx context.Context, path string, query url.Values, files []*os.File) error {
	conn, err := dialUnix(ctx, c.dir)
	if err != nil {
		return fmt.Errorf("talk to the domain process: %w", err)
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", "http://domain"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
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
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	if _, _, err := u.WriteMsgUnix([]byte{0}, unix.UnixRights(fds...), nil); err != nil {
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
