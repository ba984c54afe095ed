// Package link is a placeholder.
package link

import "errors"

// Header is struct virtio_net_hdr.
type Header struct {
	Flags, GSOType                         uint8
	HdrLen, GSOSize, CsumStart, CsumOffset uint16
}

// Errors.
var (
	ErrFull    = errors.New("full")
	ErrEmpty   = errors.New("empty")
	ErrStopped = errors.New("stopped")
	ErrLong    = errors.New("long")
)
