// Package tracetest lays out stock kernels in memory as they are linked, for tests of what reads the memory of running ones.
package tracetest

import (
	"errors"
	"testing"

	"gozen/ci/kernels"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
)

// Kernel is a kernel in memory at its link addresses, as it is before it runs.
type Kernel struct {
	mem      *guestmem.Memory
	segments []image.Segment
}

// ErrUnmapped is what Read returns outside of the kernel.
var ErrUnmapped = errors.New("not in the kernel's image")

// Load gives a kernel by its name in ci/kernels; the test is skipped where it is not there.
func Load(t testing.TB, name string) *Kernel {
	t.Helper()
	files, err := kernels.Open()
	if err != nil {
		t.Fatal(err)
	}
	path, err := files.Find(name)
	if err != nil {
		t.Skip(err)
	}
	k, err := image.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	mem, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 256 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mem.Close)
	if _, err := k.Load(mem); err != nil {
		t.Fatal(err)
	}
	return &Kernel{mem, k.Segments}
}

// Read copies len(p) bytes at a link address.
func (k *Kernel) Read(va uint64, p []byte) error {
	for _, s := range k.segments {
		if s.Virt != 0 && va >= s.Virt && va-s.Virt < s.MemSize && uint64(len(p)) <= s.MemSize-(va-s.Virt) {
			return k.mem.Read(s.Phys+guestmem.GPA(va-s.Virt), p)
		}
	}
	return ErrUnmapped
}
