package net

import (
	"encoding/binary"

	"gozen/hypervisor/link"
	"gozen/hypervisor/xen"
)

// Values of link.Header (linux/virtio_net.h, from virtio 1.2, 5.1.6).
const (
	needsChecksum = 1
	dataValid     = 2
	gsoNone       = 0
	gsoTCP4       = 1
	gsoTCP6       = 4
	gsoECN        = 0x80
)

// linkGSO gives a kind of segmentation as the link names it, gsoNone for one that is none.
func linkGSO(kind uint8) uint8 {
	switch kind {
	case xen.XEN_NETIF_GSO_TYPE_TCPV4:
		return gsoTCP4
	case xen.XEN_NETIF_GSO_TYPE_TCPV6:
		return gsoTCP6
	}
	return gsoNone
}

// xenGSO is the other direction.
func xenGSO(kind uint8) uint8 {
	if kind == gsoTCP6 {
		return xen.XEN_NETIF_GSO_TYPE_TCPV6
	}
	return xen.XEN_NETIF_GSO_TYPE_TCPV4
}

// Ethernet, IP and its transports, as far as checksums need them.
const (
	ethernetHeader = 14
	minFrame       = ethernetHeader
	typeIP4        = 0x0800
	typeIP6        = 0x86dd
	typeVLAN       = 0x8100
	typeQinQ       = 0x88a8
	protoTCP       = 6
	protoUDP       = 17
	ip6HopByHop    = 0
	ip6Routing     = 43
	ip6Options     = 60
)

// packet says where in a frame its parts are.
type packet struct {
	ip, transport int // offsets of the headers
	v6            bool
	proto         uint8 // protoTCP or protoUDP
	end           int   // of the headers, in a TCP packet
}

// inspect finds the transport header, for which the first bytes of a frame suffice; false: it is neither TCP nor UDP, or a fragment.
func inspect(b []byte) (p packet, ok bool) {
	p.ip = 12
	for range 3 {
		if len(b) < p.ip+2 {
			return p, false
		}
		kind := binary.BigEndian.Uint16(b[p.ip:])
		if kind != typeVLAN && kind != typeQinQ {
			break
		}
		p.ip += 4
	}
	if len(b) < p.ip+2 {
		return p, false
	}
	kind := binary.BigEndian.Uint16(b[p.ip:])
	p.ip += 2
	switch kind {
	case typeIP4:
		if len(b) < p.ip+20 || binary.BigEndian.Uint16(b[p.ip+6:])&0x3fff != 0 {
			return p, false
		}
		size := int(b[p.ip]&15) * 4
		if size < 20 {
			return p, false
		}
		p.transport, p.proto = p.ip+size, b[p.ip+9]
	case typeIP6:
		if len(b) < p.ip+40 {
			return p, false
		}
		p.v6, p.transport, p.proto = true, p.ip+40, b[p.ip+6]
		for range 8 {
			if p.proto != ip6HopByHop && p.proto != ip6Routing && p.proto != ip6Options {
				break
			}
			if len(b) < p.transport+8 {
				return p, false
			}
			p.proto = b[p.transport]
			p.transport += int(b[p.transport+1])*8 + 8
		}
	default:
		return p, false
	}
	switch p.proto {
	case protoTCP:
		if len(b) < p.transport+20 {
			return p, false
		}
		size := int(b[p.transport+12]>>4) * 4
		p.end = p.transport + size
		return p, size >= 20
	case protoUDP:
		p.end = p.transport + 8
		return p, len(b) >= p.end
	}
	return p, false
}

// sumAt gives the offset of the checksum in the transport header.
func (p packet) sumAt() int {
	if p.proto == protoUDP {
		return 6
	}
	return 16
}

// outgoing makes the header of a frame from the guest: blank says that its checksum is to be finished, and gso is its segment size or 0. Head is
// the begin of the frame. false: it can't be.
func outgoing(head []byte, blank bool, gso uint16, kind uint8) (h link.Header, ok bool) {
	if !blank {
		return h, gso == 0 // who leaves segments to others leaves checksums, too
	}
	p, ok := inspect(head)
	if !ok {
		return h, false
	}
	h.Flags, h.CsumStart, h.CsumOffset = needsChecksum, uint16(p.transport), uint16(p.sumAt())
	if gso == 0 {
		return h, true
	}
	if p.proto != protoTCP || p.v6 != (kind == gsoTCP6) {
		return h, false
	}
	h.GSOType, h.GSOSize, h.HdrLen = kind, gso, uint16(p.end)
	return h, true
}

// sum16 adds 16-bit words in network order to a sum of ones' complement.
func sum16(s uint32, b []byte) uint32 {
	for len(b) >= 2 {
		s += uint32(b[0])<<8 | uint32(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// finish writes the checksum that a header asks for; what is not in the frame is left alone.
func finish(h link.Header, frame []byte) {
	start, at := int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)
	if h.Flags&needsChecksum == 0 || at+2 > len(frame) {
		return
	}
	sum := ^fold(sum16(0, frame[start:])) // the field holds the pseudo header's sum
	if sum == 0 && h.CsumOffset == 6 {
		sum = 0xffff // of UDP, none is 0
	}
	binary.BigEndian.PutUint16(frame[at:], sum)
}

// split cuts a frame with segmentation left to do into frames with whole checksums, and gives each to emit, in the memory of room. false: it is no
// frame that can be cut.
func split(h link.Header, frame, room []byte, emit func([]byte)) bool {
	p, ok := inspect(frame)
	if !ok || p.proto != protoTCP || p.end > len(frame) || h.GSOSize == 0 || p.end+int(h.GSOSize) > len(room) {
		return false
	}
	head, data := frame[:p.end], frame[p.end:]
	size := int(h.GSOSize)
	seq := binary.BigEndian.Uint32(frame[p.transport+4:])
	id := uint16(0)
	if !p.v6 {
		id = binary.BigEndian.Uint16(frame[p.ip+4:])
	}
	for first := true; first || len(data) > 0; first = false {
		n := min(size, len(data))
		out := room[:p.end+n]
		copy(out, head)
		copy(out[p.end:], data[:n])
		data = data[n:]
		binary.BigEndian.PutUint32(out[p.transport+4:], seq)
		seq += uint32(n)
		flags := &out[p.transport+13]
		if len(data) > 0 {
			*flags &^= 0x09 // FIN and PSH are the last one's
		}
		if !first {
			*flags &^= 0x80 // CWR is the first one's
		}
		p.seal(out, id)
		id++
		emit(out)
	}
	return true
}

// seal writes lengths and checksums of a TCP packet.
func (p packet) seal(b []byte, id uint16) {
	be := binary.BigEndian
	n := len(b) - p.transport
	var pseudo uint32
	if p.v6 {
		be.PutUint16(b[p.ip+4:], uint16(len(b)-p.ip-40))
		pseudo = sum16(uint32(n)+protoTCP, b[p.ip+8:p.ip+40])
	} else {
		be.PutUint16(b[p.ip+2:], uint16(len(b)-p.ip))
		be.PutUint16(b[p.ip+4:], id)
		be.PutUint16(b[p.ip+10:], 0)
		be.PutUint16(b[p.ip+10:], ^fold(sum16(0, b[p.ip:p.transport])))
		pseudo = sum16(uint32(n)+protoTCP, b[p.ip+12:p.ip+20])
	}
	be.PutUint16(b[p.transport+16:], fold(pseudo))
	finish(link.Header{Flags: needsChecksum, CsumStart: uint16(p.transport), CsumOffset: 16}, b)
}
