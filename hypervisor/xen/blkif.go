// Facts of Xen public/io/blkif.h.

package xen

// Operations of a block request.
const (
	BLKIF_OP_READ            = 0
	BLKIF_OP_WRITE           = 1
	BLKIF_OP_WRITE_BARRIER   = 2
	BLKIF_OP_FLUSH_DISKCACHE = 3
	BLKIF_OP_DISCARD         = 5
	BLKIF_OP_INDIRECT        = 6
)

// Limits of a block request.
const (
	BLKIF_MAX_SEGMENTS_PER_REQUEST       = 11
	BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST = 8
)

// Results of a block request.
const (
	BLKIF_RSP_OKAY       = 0
	BLKIF_RSP_ERROR      = -1
	BLKIF_RSP_EOPNOTSUPP = -2
)

// Bits of the backend's node info.
const (
	VDISK_CDROM     = 1
	VDISK_REMOVABLE = 2
	VDISK_READONLY  = 4
)

// BlkifLayout holds the sizes and offsets of the block protocol, which are those that a C compiler of the guest's architecture gives it. C:
// blkif_request, blkif_request_discard, blkif_request_indirect, blkif_response.
type BlkifLayout struct {
	Entry uint32 // of the ring, the larger of request and response
	// Requests begin with the operation (a byte), the number of segments (a byte; of an indirect one in 16 bits at BlkifIndirectCount) and
	// have these:
	ID, Sector, Segments          uint32
	DiscardCount                  uint32 // sectors, 64 bits
	IndirectID, IndirectSector    uint32
	IndirectGrants                uint32
	Response, ResponseOp, RspCode uint32 // size; operation (a byte) and result (16 bits) behind the id
}

// Offsets in every layout.
const (
	BlkifOperation     = 0
	BlkifCount         = 1
	BlkifIndirectOp    = 1
	BlkifIndirectCount = 2
)

// Offsets and size of a segment (C: blkif_request_segment).
const (
	BlkifSegmentSize  = 8
	BlkifSegmentGrant = 0
	BlkifSegmentFirst = 4 // first and last sector of 512 bytes in the page, a byte each
	BlkifSegmentLast  = 5
)

// Blkif64 is the layout of the protocol x86_64-abi, and of arm64; Blkif32 that of x86_32-abi.
var (
	Blkif64 = BlkifLayout{Entry: 112, ID: 8, Sector: 16, Segments: 24, DiscardCount: 24, IndirectID: 8, IndirectSector: 16, IndirectGrants: 28,
		Response: 16, ResponseOp: 8, RspCode: 10}
	Blkif32 = BlkifLayout{Entry: 108, ID: 4, Sector: 12, Segments: 20, DiscardCount: 20, IndirectID: 4, IndirectSector: 12, IndirectGrants: 24,
		Response: 12, ResponseOp: 8, RspCode: 10}
)
