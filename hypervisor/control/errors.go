package control

import (
	"errors"
	"syscall"

	"gozen/hypervisor/config"
)

// ErrNoParavirt is given by Machine.Shutdown when the guest has nobody listening on control/shutdown.
var ErrNoParavirt = errors.New("the guest does not listen on control/shutdown")

// ErrEnded is given by operations that need a domain which still runs.
var ErrEnded = errors.New("the domain has ended")

// ErrNotFound is given by look-ups of a domain that does not exist.
var ErrNotFound = errors.New("no such domain")

// wireErrnos are the errno values that cross the socket by name.
var wireErrnos = map[string]syscall.Errno{
	"ENOENT": syscall.ENOENT, "EINVAL": syscall.EINVAL, "EACCES": syscall.EACCES, "EEXIST": syscall.EEXIST,
	"EISDIR": syscall.EISDIR, "ENOMEM": syscall.ENOMEM, "ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO,
	"ENOSYS": syscall.ENOSYS, "EROFS": syscall.EROFS, "EBUSY": syscall.EBUSY, "EAGAIN": syscall.EAGAIN,
	"E2BIG": syscall.E2BIG, "EPERM": syscall.EPERM, "EDQUOT": syscall.EDQUOT, "ENOTEMPTY": syscall.ENOTEMPTY,
}

// wireCodes name the errors of this package on the socket.
var wireCodes = map[string]error{"noparavirt": ErrNoParavirt, "ended": ErrEnded, "notfound": ErrNotFound, "busy": ErrBusy}

func errorCode(err error) string {
	for c, e := range wireCodes {
		if errors.Is(err, e) {
			return c
		}
	}
	for c, e := range wireErrnos {
		if errors.Is(err, e) {
			return c
		}
	}
	return ""
}

// RemoteError is an error that the domain process answered. errors.Is finds the syscall.Errno or the sentinel of this
// package that it had there.
type RemoteError struct {
	Status int    // HTTP status
	Code   string // ENOENT, noparavirt, ...
	Text   string
	Detail *config.Error // the refusal in parts, or nil
}

// Error gives the text of the domain process.
func (e *RemoteError) Error() string { return e.Text }

// Unwrap gives what errors.Is looks for.
func (e *RemoteError) Unwrap() error {
	if e.Detail != nil {
		return e.Detail
	}
	if s, ok := wireCodes[e.Code]; ok {
		return s
	}
	if n, ok := wireErrnos[e.Code]; ok {
		return n
	}
	return nil
}
