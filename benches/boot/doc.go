// Package boot boots a stock kernel to its init on gozen and on QEMU's TCG and takes the CPU time each needs: every
// process involved, from the command that a person types to the first line of the guest's init.
//
// Path: Prepare writes the files (for QEMU the kernel as an ELF image with the PVH entry, since QEMU would start a bzImage in real mode);
// Gozen and QEMU boot once each; the command bench-boot runs them in turns and judges. 1 vCPU, 512 MiB, the same command line but for the console.
package boot
