package xenstore

import (
	"strconv"
	"strings"
	"syscall"

	"gozen/hypervisor/xen"
)

// Errors inside this package are the errno values of the wire protocol; the host's methods wrap them in PathError.
const (
	errAccess  = syscall.EACCES
	errAgain   = syscall.EAGAIN
	errBusy    = syscall.EBUSY
	errExists  = syscall.EEXIST
	errInvalid = syscall.EINVAL
	errNoEntry = syscall.ENOENT
	errNoSpace = syscall.ENOSPC
	errNoSys   = syscall.ENOSYS
	errPerm    = syscall.EPERM
	errTooBig  = syscall.E2BIG
)

// DomainPath gives the home of domain dom in the tree: /local/domain/DOM.
func DomainPath(dom xen.DomID) string { return "/local/domain/" + strconv.Itoa(int(dom)) }

func isSpecial(path string) bool { return strings.HasPrefix(path, "@") }

// canonical makes path absolute, relative ones starting at dom's home, and checks it as xenstored does.
func canonical(path string, dom xen.DomID) (string, error) {
	if len(path) > xen.XENSTORE_ABS_PATH_MAX {
		return "", errInvalid
	}
	rel := path
	if !strings.HasPrefix(path, "/") {
		path = DomainPath(dom) + "/" + path
	} else {
		rel = belowDomain(path)
	}
	if len(path) > xen.XENSTORE_ABS_PATH_MAX || len(rel) > xen.XENSTORE_REL_PATH_MAX || !validPath(path) {
		return "", errInvalid
	}
	return path, nil
}

// belowDomain gives what is left of path without a leading /local/domain/N/: only that counts for the length.
func belowDomain(path string) string {
	rest, ok := strings.CutPrefix(path, "/local/domain/")
	if !ok {
		return path
	}
	if id, rel, ok := strings.Cut(rest, "/"); ok && isNumber(id) {
		return rel
	}
	return path
}

func isNumber(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func validPath(p string) bool {
	if p == "/" {
		return true
	}
	for i := range len(p) {
		c := p[i]
		switch {
		case c == '/':
			if i == len(p)-1 || p[i+1] == '/' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_', c == '@':
		default:
			return false
		}
	}
	return len(p) > 0
}

// split gives the names of a canonical path; none for the root.
func split(path string) []string {
	if path == "/" {
		return nil
	}
	return strings.Split(path[1:], "/")
}

// parent gives the path of the node that holds path, which must not be the root.
func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// below reports whether path is at or under base.
func below(path, base string) bool {
	return path == base || (base == "/" && path[0] == '/') ||
		(len(path) > len(base) && path[len(base)] == '/' && path[:len(base)] == base)
}
