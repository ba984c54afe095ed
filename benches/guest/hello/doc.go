// Package hello makes a Xen guest of two pages that needs no file from outside: it greets on the PV console, tells xenstore that it
// listens for shutdown requests, waits for one without using the processor, and powers off.
//
// Path: hello.go finds console and xenstore through HVM parameters, writes to both rings and polls their event channel; call.go has
// the hypercalls. The demo runs it where no kernel can be had, and tests where one would take too long.
package hello
