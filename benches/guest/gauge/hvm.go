package gauge

// hvmMode is a guest that its firmware, or a hypervisor's own loader of ELF kernels, starts in 32-bit protected mode. From there on it is as a PVH guest
// is: it finds Xen by CPUID, and console and shared info by hypercalls. Disk makes what firmware can start.
func hvmMode() *mode {
	m := pvhMode()
	m.name = "hvm"
	m.image = protectedImage(m)
	return m
}
