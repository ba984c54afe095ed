// Facts of Xen public/io/console.h, xs_wire.h, xenbus.h and ring.h.

package xen

// Offsets in the console page (C: xencons_interface).
const (
	ConsoleIn      = 0
	ConsoleInSize  = 1024
	ConsoleOut     = 1024
	ConsoleOutSize = 2048
	ConsoleInCons  = 3072
	ConsoleInProd  = 3076
	ConsoleOutCons = 3080
	ConsoleOutProd = 3084
)

// Offsets in the xenstore page (C: xenstore_domain_interface).
const (
	XenstoreReq            = 0
	XenstoreRsp            = 1024
	XenstoreReqCons        = 2048
	XenstoreReqProd        = 2052
	XenstoreRspCons        = 2056
	XenstoreRspProd        = 2060
	XenstoreServerFeatures = 2064
	XenstoreConnection     = 2068
	XenstoreError          = 2072
)

// States of a xenbus device end (C: enum xenbus_state).
const (
	XenbusStateUnknown       = 0
	XenbusStateInitialising  = 1
	XenbusStateInitWait      = 2
	XenbusStateInitialised   = 3
	XenbusStateConnected     = 4
	XenbusStateClosing       = 5
	XenbusStateClosed        = 6
	XenbusStateReconfiguring = 7
	XenbusStateReconfigured  = 8
)

// Offsets in the head of a shared I/O ring (C: the sring that DEFINE_RING_TYPES makes); entries follow.
const (
	RingReqProd  = 0
	RingReqEvent = 4
	RingRspProd  = 8
	RingRspEvent = 12
	RingEntries  = 64
)
