// Package doctor finds out what the tracing of a host can tell: it tries each source, with a sample guest whose exits are known, and says what works,
// what is silent and what is refused. Nothing is left attached.
//
// Path: Look does it all and gives a Report, which is data; privilege.go reads who we are, kernel.go tries eBPF's ways in, points.go the
// tracepoints.
package doctor
