package disk

import "os"

// Image is the sectors of a disk: Raw, or NBD. All methods may be called from any goroutine, and offsets and lengths are multiples of SectorSize.
type Image interface {
	// Size is in bytes, a multiple of SectorSize.
	Size() int64
	// ReadOnly says that writes are refused.
	ReadOnly() bool
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// ReadVec and WriteVec move sectors into, or from, the slices in turn: all, or with an error.
	ReadVec(p [][]byte, off int64) error
	WriteVec(p [][]byte, off int64) error
	// Discard forgets sectors, if it can.
	Discard(off, n int64) error
	// Sync returns when everything that was written is on stable storage.
	Sync() error
	Close() error
}

var _, _ Image = (*Raw)(nil), (*NBD)(nil)

// New makes an image of a file as the domain's configuration says: of the file itself, or, where served is set, of a connection to the process that reads
// it (NewNBD). The file belongs to the image from then on, also on an error.
func New(f *os.File, served, readOnly bool) (Image, error) {
	if served {
		return asImage(NewNBD(f, readOnly))
	}
	return asImage(NewRaw(f, readOnly))
}

// asImage keeps a nil pointer from becoming an Image.
func asImage[I Image](i I, err error) (Image, error) {
	if err != nil {
		return nil, err
	}
	return i, nil
}
