// Facts of Xen public/errno.h.

package xen

import "strconv"

// Errno is a Xen error number, positive as in the header; 0 is success. A hypercall returns it to the guest
// negated: see Ret.
type Errno uint16

// Error numbers.
const (
	EPERM         Errno = 1
	ENOENT        Errno = 2
	ESRCH         Errno = 3
	EINTR         Errno = 4
	EIO           Errno = 5
	ENXIO         Errno = 6
	E2BIG         Errno = 7
	ENOEXEC       Errno = 8
	EBADF         Errno = 9
	ECHILD        Errno = 10
	EAGAIN        Errno = 11
	EWOULDBLOCK   Errno = 11
	ENOMEM        Errno = 12
	EACCES        Errno = 13
	EFAULT        Errno = 14
	EBUSY         Errno = 16
	EEXIST        Errno = 17
	EXDEV         Errno = 18
	ENODEV        Errno = 19
	ENOTDIR       Errno = 20
	EISDIR        Errno = 21
	EINVAL        Errno = 22
	ENFILE        Errno = 23
	EMFILE        Errno = 24
	ENOSPC        Errno = 28
	EROFS         Errno = 30
	EMLINK        Errno = 31
	EDOM          Errno = 33
	ERANGE        Errno = 34
	EDEADLK       Errno = 35
	EDEADLOCK     Errno = 35
	ENAMETOOLONG  Errno = 36
	ENOLCK        Errno = 37
	ENOSYS        Errno = 38
	ENOTEMPTY     Errno = 39
	ENODATA       Errno = 61
	ETIME         Errno = 62
	EBADMSG       Errno = 74
	EOVERFLOW     Errno = 75
	EILSEQ        Errno = 84
	ERESTART      Errno = 85
	ENOTSOCK      Errno = 88
	EMSGSIZE      Errno = 90
	EOPNOTSUPP    Errno = 95
	EADDRINUSE    Errno = 98
	EADDRNOTAVAIL Errno = 99
	ENOBUFS       Errno = 105
	EISCONN       Errno = 106
	ENOTCONN      Errno = 107
	ETIMEDOUT     Errno = 110
	ECONNREFUSED  Errno = 111
)

// Ret gives the value a hypercall leaves in the guest's result register: 0, or the error negated.
func (e Errno) Ret() uint64 { return uint64(-int64(e)) }

// Error gives the name as Xen spells it, "EINVAL", so that an Errno can travel as a Go error on the host.
func (e Errno) Error() string {
	if n := e.name(); n != "" {
		return n
	}
	return "errno " + strconv.Itoa(int(e))
}

func (e Errno) name() string {
	switch e {
	case 0:
		return "success"
	case EPERM:
		return "EPERM"
	case ENOENT:
		return "ENOENT"
	case ESRCH:
		return "ESRCH"
	case EINTR:
		return "EINTR"
	case EIO:
		return "EIO"
	case ENXIO:
		return "ENXIO"
	case E2BIG:
		return "E2BIG"
	case ENOEXEC:
		return "ENOEXEC"
	case EBADF:
		return "EBADF"
	case ECHILD:
		return "ECHILD"
	case EAGAIN:
		return "EAGAIN"
	case ENOMEM:
		return "ENOMEM"
	case EACCES:
		return "EACCES"
	case EFAULT:
		return "EFAULT"
	case EBUSY:
		return "EBUSY"
	case EEXIST:
		return "EEXIST"
	case EXDEV:
		return "EXDEV"
	case ENODEV:
		return "ENODEV"
	case ENOTDIR:
		return "ENOTDIR"
	case EISDIR:
		return "EISDIR"
	case EINVAL:
		return "EINVAL"
	case ENFILE:
		return "ENFILE"
	case EMFILE:
		return "EMFILE"
	case ENOSPC:
		return "ENOSPC"
	case EROFS:
		return "EROFS"
	case EMLINK:
		return "EMLINK"
	case EDOM:
		return "EDOM"
	case ERANGE:
		return "ERANGE"
	case EDEADLK:
		return "EDEADLK"
	case ENAMETOOLONG:
		return "ENAMETOOLONG"
	case ENOLCK:
		return "ENOLCK"
	case ENOSYS:
		return "ENOSYS"
	case ENOTEMPTY:
		return "ENOTEMPTY"
	case ENODATA:
		return "ENODATA"
	case ETIME:
		return "ETIME"
	case EBADMSG:
		return "EBADMSG"
	case EOVERFLOW:
		return "EOVERFLOW"
	case EILSEQ:
		return "EILSEQ"
	case ERESTART:
		return "ERESTART"
	case ENOTSOCK:
		return "ENOTSOCK"
	case EMSGSIZE:
		return "EMSGSIZE"
	case EOPNOTSUPP:
		return "EOPNOTSUPP"
	case EADDRINUSE:
		return "EADDRINUSE"
	case EADDRNOTAVAIL:
		return "EADDRNOTAVAIL"
	case ENOBUFS:
		return "ENOBUFS"
	case EISCONN:
		return "EISCONN"
	case ENOTCONN:
		return "ENOTCONN"
	case ETIMEDOUT:
		return "ETIMEDOUT"
	case ECONNREFUSED:
		return "ECONNREFUSED"
	}
	return ""
}
