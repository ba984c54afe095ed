// Package backendtest is the guest of tests of back ends: its memory, its grants, an event channel, and the other ends of their rings, without a processor.
package backendtest

import (
	"testing"

	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
)

// Dom is the guest's domid.
const Dom = 5

// tableFrame is where the grant table lies.
const tableFrame = 0x300

// Guest is such a guest, with 4 MiB.
type Guest struct {
	Memory *guestmem.Memory
	Grants *gnttab.Table
	Events *evtchn.Table
	Port   evtchn.Port    // not bound yet, for the back end
	Table  *guestmem.Page // of grants
}

// New makes a guest that ends with the test.
func New(t testing.TB) *Guest {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 4 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	g := &Guest{Memory: m}
	if g.Grants, err = gnttab.New(gnttab.Config{Dom: Dom, Memory: m, MaxFrames: 4}); err != nil {
		t.Fatal(err)
	}
	var errno xen.Errno
	if g.Table, _, errno = g.Grants.MapFrame(0, tableFrame); errno != 0 {
		t.Fatal(errno)
	}
	shared, err := m.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	if g.Events, err = evtchn.New(evtchn.Config{Dom: Dom, VCPUs: 1, Memory: m, Shared: shared, MaxPort: 1023, Notify: func(int) {},
		Info: []evtchn.VCPUInfo{{Page: shared}}}); err != nil {
		t.Fatal(err)
	}
	if g.Port, errno = g.Events.AllocUnbound(0); errno != 0 {
		t.Fatal(errno)
	}
	return g
}

// Grant grants the back end a frame, by the grant of the same number.
func (g *Guest) Grant(ref uint32, flags uint32) {
	g.Table.Store32(ref*8+4, ref)
	g.Table.Store32(ref*8, xen.GTF_permit_access|flags)
}

// Page gives the memory of a frame.
func (g *Guest) Page(frame uint32) []byte { return g.Memory.HostPage(guestmem.GFN(frame))[:] }

// Ring makes the guest's end of a ring on frames, which it grants.
func (g *Guest) Ring(t testing.TB, first uint32, frames int, entry uint32) *ring.Frontend {
	t.Helper()
	var pages []*guestmem.Page
	for i := range uint32(frames) {
		g.Grant(first+i, 0)
		p, err := g.Memory.PageAt(guestmem.GFN(first + i))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, p)
	}
	f, err := ring.NewFrontend(pages, entry)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
