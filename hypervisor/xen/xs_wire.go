// Facts of Xen public/io/xs_wire.h.

package xen

// xenstore ring and limits.
const (
	XENSTORE_RING_SIZE                   = 1024
	XENSTORE_PAYLOAD_MAX                 = 4096
	XENSTORE_ABS_PATH_MAX                = 3072
	XENSTORE_REL_PATH_MAX                = 2048
	XENSTORE_SERVER_FEATURE_RECONNECTION = 1
	XENSTORE_SERVER_FEATURE_ERROR        = 2
	XENSTORE_CONNECTED                   = 0
	XENSTORE_RECONNECT                   = 1
	XENSTORE_ERROR_NONE                  = 0
	XENSTORE_ERROR_COMM                  = 1
	XENSTORE_ERROR_RINGIDX               = 2
	XENSTORE_ERROR_PROTO                 = 3
)

// xenstore message types.
const (
	XS_CONTROL              = 0
	XS_DIRECTORY            = 1
	XS_READ                 = 2
	XS_GET_PERMS            = 3
	XS_WATCH                = 4
	XS_UNWATCH              = 5
	XS_TRANSACTION_START    = 6
	XS_TRANSACTION_END      = 7
	XS_INTRODUCE            = 8
	XS_RELEASE              = 9
	XS_GET_DOMAIN_PATH      = 10
	XS_WRITE                = 11
	XS_MKDIR                = 12
	XS_RM                   = 13
	XS_SET_PERMS            = 14
	XS_WATCH_EVENT          = 15
	XS_ERROR                = 16
	XS_IS_DOMAIN_INTRODUCED = 17
	XS_RESUME               = 18
	XS_SET_TARGET           = 19
	XS_RESET_WATCHES        = 21
	XS_DIRECTORY_PART       = 22
	XS_TYPE_COUNT           = 23
	XS_INVALID              = 0xffff
)

// XSDSockmsg heads every xenstore message (C: xsd_sockmsg).
type XSDSockmsg struct {
	Type  uint32
	ReqID uint32
	TxID  uint32
	Len   uint32
}

// Layout visits the fields of XSDSockmsg in the order of the C struct.
func (s *XSDSockmsg) Layout(c *Codec) {
	c.U32(&s.Type)
	c.U32(&s.ReqID)
	c.U32(&s.TxID)
	c.U32(&s.Len)
}
