// Package usernet is a network for one guest, made of sockets that any user may have: behind a link, a gateway with DHCP, DNS and a way out, and ports of the host that
// lead to the guest. gVisor's TCP/IP and gvisor-tap-vsock's switch, DHCP and DNS do the work; what is here decides what may pass.
//
// Path of a frame: frames (checks it) -> tap.Switch -> gVisor's stack -> outward (connections of the guest's become the host's) or DHCP and DNS. Connections of the host
// come in by inward. Main is the program: it opens what it needs, goes into a sandbox, says that it is ready, and ends when the link does.
//
// Everything on the link is hostile. What a guest makes the process hold is bounded by budget, by the buffers in newStack, and by limits of the sandbox; where that
// is too little the process dies, and with it nothing but this network.
package usernet
