package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ends makes a connection: the client's end, and the server's.
func ends(t testing.TB) (client, server *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	client, server = os.NewFile(uintptr(fds[0]), "image"), os.NewFile(uintptr(fds[1]), "server")
	t.Cleanup(func() { server.Close() })
	return client, server
}

// option is a reply of the server in the negotiation.
func option(kind uint32, data []byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint64(nil, nbdOptReply)
	b = be.AppendUint32(b, nbdOptGo)
	b = be.AppendUint32(b, kind)
	return append(be.AppendUint32(b, uint32(len(data))), data...)
}

// greeting is all that a server says before the first request.
func greeting(size uint64, flags uint16, most uint32) []byte {
	be := binary.BigEndian
	b := be.AppendUint64(nil, nbdMagic)
	b = be.AppendUint64(b, nbdOptMagic)
	b = be.AppendUint16(b, nbdFixedNewstyle|nbdNoZeroes)
	export := be.AppendUint16(be.AppendUint64(be.AppendUint16(nil, nbdInfoExport), size), flags)
	b = append(b, option(nbdRepInfo, export)...)
	if most > 0 {
		blocks := be.AppendUint16(nil, nbdInfoBlockSize)
		for _, v := range []uint32{1, 4096, most} {
			blocks = be.AppendUint32(blocks, v)
		}
		b = append(b, option(nbdRepInfo, blocks)...)
	}
	return append(b, option(nbdRepAck, nil)...)
}

// A fakeServer serves content. It answers requests in pairs, the later one first, once pairs is set.
type fakeServer struct {
	t       *testing.T
	conn    *os.File
	content []byte
	most    int // bytes in one request that came

	mu    sync.Mutex
	pairs bool
	kinds []uint16 // that came
	fail  map[uint16]syscall.Errno
}

func serve(t *testing.T, content []byte, flags uint16, most uint32) (*fakeServer, *os.File) {
	client, conn := ends(t)
	s := &fakeServer{t: t, conn: conn, content: content, fail: map[uint16]syscall.Errno{}}
	if _, err := conn.Write(greeting(uint64(len(content)), flags, most)); err != nil {
		t.Fatal(err)
	}
	go s.run()
	return s, client
}

func (s *fakeServer) run() {
	ask := make([]byte, 4+8+4+4+8)
	if _, err := io.ReadFull(s.conn, ask); err != nil || binary.BigEndian.Uint32(ask[12:]) != nbdOptGo {
		s.t.Errorf("the client negotiates % x (%v)", ask, err)
		return
	}
	var kept []byte
	for {
		r := s.answer()
		if r == nil {
			return
		}
		s.mu.Lock()
		pairs := s.pairs
		s.mu.Unlock()
		if pairs && kept == nil {
			kept = r
			continue
		}
		if _, err := s.conn.Write(append(r, kept...)); err != nil {
			return
		}
		kept = nil
	}
}

// answer reads a request and gives the reply; nil at the end.
func (s *fakeServer) answer() []byte {
	be := binary.BigEndian
	h := make([]byte, nbdRequestSize)
	if _, err := io.ReadFull(s.conn, h); err != nil || be.Uint32(h) != nbdRequestMagic || be.Uint16(h[6:]) == nbdDisc {
		return nil
	}
	kind, off, n := be.Uint16(h[6:]), be.Uint64(h[16:]), be.Uint32(h[24:])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds = append(s.kinds, kind)
	if kind == nbdRead || kind == nbdWrite {
		s.most = max(s.most, int(n))
	}
	if kind == nbdWrite {
		if _, err := io.ReadFull(s.conn, s.content[off:][:n]); err != nil {
			return nil
		}
	}
	if kind == nbdTrim {
		clear(s.content[off:][:n])
	}
	r := be.AppendUint32(nil, nbdReplyMagic)
	r = be.AppendUint32(r, uint32(s.fail[kind]))
	r = append(r, h[8:16]...)
	if kind == nbdRead && s.fail[kind] == 0 {
		r = append(r, s.content[off:][:n]...)
	}
	return r
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>9)
	}
	return b
}

func TestNBD(t *testing.T) {
	want := pattern(64 << 10)
	s, f := serve(t, bytes.Clone(want), nbdFlagFlush|nbdFlagTrim, 8<<10)
	n, err := NewNBD(f, false)
	if err != nil || n.Size() != 64<<10 || n.ReadOnly() {
		t.Fatal(n, err)
	}
	got := make([]byte, 64<<10)
	if err := n.ReadVec([][]byte{got[:512], got[512 : 20<<10], got[20<<10:]}, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read: %v, right: %v", err, bytes.Equal(got, want))
	}
	news := pattern(12 << 10)
	copy(want[1<<10:], news)
	if err := n.WriteVec([][]byte{news[:1<<10], news[1<<10:]}, 1<<10); err != nil {
		t.Error(err)
	}
	if err := n.Discard(32<<10, 4<<10); err != nil {
		t.Error(err)
	}
	clear(want[32<<10 : 36<<10])
	if err := n.Sync(); err != nil {
		t.Error(err)
	}
	if c, err := n.ReadAt(got, 0); c != len(got) || err != nil || !bytes.Equal(got, want) {
		t.Errorf("read: %d, %v, right: %v", c, err, bytes.Equal(got, want))
	}
	s.mu.Lock()
	if s.most != 8<<10 {
		t.Errorf("one request had %d bytes, the server takes 8192", s.most)
	}
	s.fail[nbdWrite] = syscall.ENOSPC
	s.mu.Unlock()
	if _, err := n.WriteAt(news, 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk gives %v", err)
	}
	for _, off := range []int64{-512, 64 << 10, 60 << 10, 1 << 62} {
		if _, err := n.ReadAt(make([]byte, 8<<10), off); err == nil {
			t.Errorf("read at %d", off)
		}
		if err := n.Discard(off, 8<<10); err == nil {
			t.Errorf("discard at %d", off)
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := n.ReadAt(got, 0); err == nil {
		t.Error("read after the end")
	}
}

// TestNBD_order has replies come in another order than requests, each with its own data.
func TestNBD_order(t *testing.T) {
	want := pattern(64 << 10)
	s, f := serve(t, want, nbdFlagFlush, 0)
	n, err := NewNBD(f, true)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s.mu.Lock()
	s.pairs = true
	s.mu.Unlock()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			b := make([]byte, 4<<10)
			if _, err := n.ReadAt(b, int64(i)<<12); err != nil || !bytes.Equal(b, want[i<<12:][:4<<10]) {
				t.Errorf("block %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if _, err := n.WriteAt(make([]byte, 512), 0); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a write to a disk that is read only gives %v", err)
	}
}

// TestNBD_death has the server end while requests are under way: all fail, and nothing is read into their memory afterwards.
func TestNBD_death(t *testing.T) {
	client, conn := ends(t)
	if _, err := conn.Write(greeting(1<<20, 0, 0)); err != nil {
		t.Fatal(err)
	}
	n, err := NewNBD(client, true)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := n.ReadAt(make([]byte, 4096), int64(i)*4096); !errors.Is(err, errGone) {
				t.Errorf("the read gives %v", err)
			}
		})
	}
	if _, err := io.ReadFull(conn, make([]byte, 28+8*nbdRequestSize)); err != nil {
		t.Fatal(err)
	}
	be := binary.BigEndian
	half := append(be.AppendUint64(be.AppendUint32(be.AppendUint32(nil, nbdReplyMagic), 0), 3), make([]byte, 1000)...)
	if _, err := conn.Write(half); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	wg.Wait()
	if err := n.Sync(); err != nil {
		t.Errorf("a disk that is read only has nothing to flush: %v", err)
	}
	if _, err := n.ReadAt(make([]byte, 512), 0); !errors.Is(err, errGone) {
		t.Errorf("a read afterwards gives %v", err)
	}
}

func TestNBD_refused(t *testing.T) {
	good := greeting(1<<20, nbdFlagReadOnly, 0)
	for name, tt := range map[string]struct {
		says []byte
		want string
	}{
		"nothing":    {nil, "has ended"},
		"half":       {good[:30], "has ended"},
		"old style":  {append(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, nbdMagic), 0x00420281861253), 0, 0), "not an NBD server"},
		"read only":  {good, "only be read"},
		"refusal":    {append(bytes.Clone(good[:18]), option(nbdRepError|6, []byte("no such export"))...), "no such export"},
		"long":       {append(bytes.Clone(good[:18]), option(nbdRepInfo, make([]byte, nbdMaxOption+1))...), "makes no sense"},
		"no size":    {append(bytes.Clone(good[:18]), option(nbdRepAck, nil)...), "makes no sense"},
		"empty":      {greeting(0, 0, 0), "empty"},
		"huge":       {greeting(1<<63, 0, 0), "size"},
		"big blocks": {append(bytes.Clone(good[:18]), option(nbdRepInfo, []byte{0, 3, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 16, 0})...), "blocks of 4096"},
	} {
		client, conn := ends(t)
		if _, err := conn.Write(tt.says); err != nil {
			t.Fatal(err)
		}
		_ = unix.Shutdown(int(conn.Fd()), unix.SHUT_WR)
		if n, err := NewNBD(client, false); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v, want %q", name, n, err, tt.want)
		}
	}
}

// FuzzNBD has a server say anything: a request fails or is answered, and its memory has what came.
func FuzzNBD(f *testing.F) {
	be := binary.BigEndian
	good := greeting(1<<20, nbdFlagFlush, 0)
	reply := append(be.AppendUint64(be.AppendUint32(be.AppendUint32(nil, nbdReplyMagic), 0), 1), make([]byte, 1024)...)
	f.Add(append(bytes.Clone(good), reply...))
	f.Add(good)
	f.Add(append(bytes.Clone(good), reply[:700]...))
	f.Add(append(bytes.Clone(good), append(reply, reply...)...))
	f.Fuzz(func(t *testing.T, says []byte) {
		client, conn := ends(t)
		if len(says) > 64<<10 {
			return
		}
		if _, err := conn.Write(says); err != nil {
			t.Fatal(err)
		}
		_ = unix.Shutdown(int(conn.Fd()), unix.SHUT_WR)
		n, err := NewNBD(client, false)
		if err != nil {
			return
		}
		defer n.Close()
		if n.Size() < SectorSize || n.Size()%SectorSize != 0 {
			t.Fatalf("size %d", n.Size())
		}
		_, _ = n.ReadAt(make([]byte, min(1024, n.Size())), 0)
		_ = n.Sync()
	})
}
