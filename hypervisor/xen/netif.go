// Facts of Xen public/io/netif.h.

package xen

// Flags of a transmit request (NETTXF).
const (
	NETTXF_csum_blank     = 1 << 0 // the checksum covers the pseudo header only
	NETTXF_data_validated = 1 << 1
	NETTXF_more_data      = 1 << 2 // the frame goes on in the next request
	NETTXF_extra_info     = 1 << 3 // the next slot holds extra information
)

// Flags of a receive response (NETRXF).
const (
	NETRXF_data_validated = 1 << 0
	NETRXF_csum_blank     = 1 << 1
	NETRXF_more_data      = 1 << 2
	NETRXF_extra_info     = 1 << 3
)

// Kinds of extra information (XEN_NETIF_EXTRA_TYPE), its flag, and kinds of segmentation.
const (
	XEN_NETIF_EXTRA_TYPE_GSO       = 1
	XEN_NETIF_EXTRA_TYPE_MCAST_ADD = 2
	XEN_NETIF_EXTRA_TYPE_MCAST_DEL = 3
	XEN_NETIF_EXTRA_FLAG_MORE      = 1
	XEN_NETIF_GSO_TYPE_TCPV4       = 1
	XEN_NETIF_GSO_TYPE_TCPV6       = 2
)

// Results of requests.
const (
	NETIF_RSP_DROPPED = -2
	NETIF_RSP_ERROR   = -1
	NETIF_RSP_OKAY    = 0
	NETIF_RSP_NULL    = 1 // of a slot with extra information
)

// XEN_NETIF_NR_SLOTS_MIN is how many requests of one frame every back end takes.
const XEN_NETIF_NR_SLOTS_MIN = 18

// Sizes and offsets of the entries of both rings (C: netif_tx_request, netif_tx_response, netif_rx_request, netif_rx_response).
const (
	NetifTxEntry   = 12
	NetifTxGrant   = 0
	NetifTxOffset  = 4
	NetifTxFlags   = 6
	NetifTxID      = 8
	NetifTxSize    = 10 // of a frame's first request: the whole frame's
	NetifTxRspID   = 0
	NetifTxRspCode = 2
	NetifTxRsp     = 4

	NetifRxEntry     = 8
	NetifRxID        = 0
	NetifRxGrant     = 4
	NetifRxRspOffset = 2
	NetifRxRspFlags  = 4
	NetifRxRspStatus = 6 // bytes, or a result
)

// Offsets in extra information (C: netif_extra_info).
const (
	NetifExtraType    = 0
	NetifExtraFlags   = 1
	NetifExtraGSOSize = 2
	NetifExtraGSOType = 4
	NetifExtraMcast   = 2 // an address
)
