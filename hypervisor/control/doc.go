// Package control is how the world talks to a running domain: the run folder in which every domain of a host is found, and
// HTTP with JSON over a Unix socket in it (docs/control.md).
//
// The domain process makes a Registry entry (Registry.Create), builds a Machine, and serves it with
// a Server. xl and perfctl find domains with Registry.List and talk to one through a Client. A Machine is
// what the composition root implements; nothing here knows how a guest is executed.
//
// Lock order: Registry's file lock, then Server.mu, then ConsoleLog.mu; none is held while a Machine is called,
// except the file lock during a rename.
package control
