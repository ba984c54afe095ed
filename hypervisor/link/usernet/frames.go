package usernet

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"gozen/hypervisor/link"
)

// queue is the link (link.Queue).
type queue interface {
	Send(h link.Header, parts [][]byte) error
	Receive(h *link.Header, parts [][]byte, wait bool) (int, error)
	Close() error
}

// frames is a link as the switch wants it: a net.Conn that gives a frame in each Read and takes one in each Write. The switch looks into frames unchecked and
// remembers each source address for ever, so only what a guest with this NIC's address sends gets through.
type frames struct {
	queue
	mac  [6]byte
	most int // length of a frame, in bytes

	in, out [1][]byte // what Read and Write hand on
}

func newFrames(q queue, mac net.HardwareAddr, mtu int) *frames {
	return &frames{queue: q, mac: [6]byte(mac), most: ethernetHeader + mtu}
}

// Parts of a frame (RFC 894, 826, 791).
const (
	ethernetHeader = 14
	arpSize        = 28
	ip4Header      = 20
	typeIP4        = 0x0800
	typeARP        = 0x0806
	protoICMP      = 1
	protoTCP       = 6
	protoUDP       = 17
)

// dataValid says that a frame's checksums need no look (VIRTIO_NET_HDR_F_DATA_VALID).
const dataValid = 2

// Read gives the next frame that passes, io.EOF at the end of the link.
func (f *frames) Read(b []byte) (int, error) {
	f.in[0] = b
	for {
		var h link.Header
		n, err := f.Receive(&h, f.in[:], true)
		switch {
		case errors.Is(err, link.ErrLong):
		case err != nil:
			return 0, io.EOF
		case h.GSOType == 0 && f.passes(b[:n]):
			return n, nil
		}
	}
}

// Write gives the guest a frame. One that the guest does not take in time is lost, as on a wire: an error would be the end of the link.
func (f *frames) Write(b []byte) (int, error) {
	f.out[0] = b
	_ = f.Send(link.Header{Flags: dataValid}, f.out[:])
	return len(b), nil
}

// passes says whether a frame of the guest's may be looked into. Checksums do not matter: the stack does not read those of TCP and UDP.
func (f *frames) passes(b []byte) bool {
	if len(b) < ethernetHeader || len(b) > f.most || [6]byte(b[6:12]) != f.mac {
		return false
	}
	kind, rest := binary.BigEndian.Uint16(b[12:]), b[ethernetHeader:]
	switch kind {
	case typeARP:
		return len(rest) >= arpSize
	case typeIP4:
		return len(rest) >= ip4Header && passesIP4(rest)
	}
	return false
}

// passesIP4 wants an address of the subnet, or none yet, as source. An echo is for the gateway, since the stack would answer in the name of any other host.
func passesIP4(b []byte) bool {
	from, to := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	if !from.IsUnspecified() && (!subnet().Contains(from) || from == gateway()) {
		return false
	}
	switch b[9] {
	case protoTCP, protoUDP:
		return true
	case protoICMP:
		return to == gateway()
	}
	return false
}

// LocalAddr and its kind make it a net.Conn.
func (f *frames) LocalAddr() net.Addr              { return linkAddr{} }
func (f *frames) RemoteAddr() net.Addr             { return linkAddr{} }
func (f *frames) SetDeadline(time.Time) error      { return nil }
func (f *frames) SetReadDeadline(time.Time) error  { return nil }
func (f *frames) SetWriteDeadline(time.Time) error { return nil }

type linkAddr struct{}

func (linkAddr) Network() string { return "link" }
func (linkAddr) String() string  { return "link" }
