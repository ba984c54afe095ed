package gnttab

import (
	"errors"
	"sync"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

func newTable(t testing.TB) (*Table, *guestmem.Memory, *guestmem.Page) {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 4 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	tab, err := New(Config{Dom: 5, Memory: m, MaxFrames: 4})
	if err != nil {
		t.Fatal(err)
	}
	p, was, e := tab.MapFrame(0, 0x300)
	if e != 0 || was != NoFrame {
		t.Fatal(e)
	}
	return tab, m, p
}

func put(p *guestmem.Page, ref Ref, flags uint32, dom xen.DomID, frame uint32) {
	p.Store32(uint32(ref)*8+4, frame)
	p.Store32(uint32(ref)*8, flags|uint32(dom)<<16)
}

func TestMap_marksAndRefuses(t *testing.T) {
	tab, m, p := newTable(t)
	m.Write(0x10000, []byte("hello"))
	put(p, 8, xen.GTF_permit_access, 0, 0x10)
	put(p, 9, xen.GTF_permit_access|xen.GTF_readonly, 0, 0x10)
	put(p, 10, xen.GTF_permit_access, 3, 0x10)
	put(p, 11, xen.GTF_invalid, 0, 0x10)
	put(p, 12, xen.GTF_accept_transfer, 0, 0x10)
	put(p, 13, xen.GTF_permit_access, 0, 0x90000)
	put(p, 14, xen.GTF_permit_access|xen.GTF_sub_page, 0, 0x10)
	for _, x := range []struct {
		ref   Ref
		write bool
		want  xen.GrantStatus
	}{{8, true, 0}, {8, false, 0}, {9, false, 0}, {9, true, xen.GNTST_general_error}, {10, false, xen.GNTST_general_error},
		{11, false, xen.GNTST_general_error}, {12, false, xen.GNTST_general_error}, {13, false, xen.GNTST_bad_page},
		{14, false, xen.GNTST_general_error}, {512, false, xen.GNTST_bad_gntref}, {^Ref(0), true, xen.GNTST_bad_gntref}} {
		pg, err := tab.Map(x.ref, x.write)
		if x.want != 0 {
			if !errors.Is(err, x.want) {
				t.Errorf("map %d write %v: %v, want %v", x.ref, x.write, err, x.want)
			}
			continue
		}
		if err != nil || string(pg.Bytes()[:5]) != "hello" {
			t.Errorf("map %d: %v", x.ref, err)
		}
	}
	if f := p.Load32(13*8) & 0x18; f != 0 {
		t.Errorf("a failed map left marks %#x", f)
	}
	if f := p.Load32(8 * 8); f&0x18 != 0x18 {
		t.Errorf("marks %#x", f)
	}
	if err := tab.Unmap(8, true); err != nil {
		t.Error(err)
	}
	if f := p.Load32(8*8) & 0x18; f != xen.GTF_reading {
		t.Errorf("after the writer left: %#x", f)
	}
	if err := tab.Unmap(8, true); err == nil {
		t.Error("unmapped a writer twice")
	}
	tab.Unmap(8, false)
	tab.Unmap(9, false)
	if f := p.Load32(8*8) & 0x18; f != 0 || tab.InUse() != 0 {
		t.Errorf("left %#x, %d in use", f, tab.InUse())
	}
	if err := tab.Unmap(1<<30, false); err == nil {
		t.Error("unmapped nothing")
	}
}

func TestMap_guestTakesPageAway(t *testing.T) {
	tab, m, p := newTable(t)
	put(p, 8, xen.GTF_permit_access, 0, 0x10)
	pg, err := tab.Map(8, true)
	if err != nil {
		t.Fatal(err)
	}
	m.Release(0x10)
	pg.Bytes()[0] = 1 // must not fault
	put(p, 8, xen.GTF_permit_access, 0, 0x11)
	again, err := tab.Map(8, false)
	if err != nil || &again.Bytes()[0] != &pg.Bytes()[0] {
		t.Error("a pinned grant keeps its page")
	}
}

func TestCopy_host(t *testing.T) {
	tab, m, p := newTable(t)
	wrote := []guestmem.GFN{}
	m.OnWrite(func(g guestmem.GFN) { wrote = append(wrote, g) })
	put(p, 8, xen.GTF_permit_access, 0, 0x10)
	put(p, 9, xen.GTF_permit_access|xen.GTF_readonly, 0, 0x10)
	if err := tab.CopyTo(8, 4090, []byte("abcdef")); err != nil {
		t.Fatal(err)
	}
	if len(wrote) != 1 || wrote[0] != 0x10 {
		t.Errorf("engines were told of %v", wrote)
	}
	var b [6]byte
	if err := tab.CopyFrom(9, 4090, b[:]); err != nil || string(b[:]) != "abcdef" {
		t.Errorf("%q %v", b, err)
	}
	if err := tab.CopyFrom(9, 4091, b[:]); !errors.Is(err, xen.GNTST_bad_copy_arg) {
		t.Error(err)
	}
	if err := tab.CopyTo(9, 0, b[:]); !errors.Is(err, xen.GNTST_general_error) {
		t.Error(err)
	}
	if tab.InUse() != 0 {
		t.Error("a copy left its pin")
	}
}

func TestGrant_reserved(t *testing.T) {
	tab, _, p := newTable(t)
	if err := tab.Grant(xen.GNTTAB_RESERVED_XENSTORE, 0, 0x20); err != nil {
		t.Fatal(err)
	}
	if p.Load32(8) != xen.GTF_permit_access || p.Load32(12) != 0x20 {
		t.Errorf("%#x %#x", p.Load32(8), p.Load32(12))
	}
	if _, err := tab.Map(xen.GNTTAB_RESERVED_XENSTORE, true); err != nil {
		t.Error(err)
	}
	if tab.Grant(4096, 0, 1) == nil || tab.Grant(1, 0, 1<<33) == nil {
		t.Error("bad grants accepted")
	}
}

func TestFrames_growAndMove(t *testing.T) {
	tab, _, _ := newTable(t)
	if s := tab.Setup(5); s != xen.GNTST_general_error {
		t.Error(s)
	}
	if s := tab.Setup(2); s != 0 {
		t.Error(s)
	}
	if _, was, err := tab.MapFrame(0, 0x301); err != 0 || was != 0x300 {
		t.Errorf("was %#x %v", was, err)
	}
	if _, _, err := tab.MapFrame(4, 0x302); err != xen.EINVAL {
		t.Error(err)
	}
	if _, _, err := tab.MapFrame(3, 0x302); err != 0 {
		t.Error(err)
	}
	if n, limit := tab.Size(); n != 4 || limit != 4 {
		t.Errorf("%d of %d", n, limit)
	}
	if !tab.Unhook(0x302) || tab.Unhook(0x302) || tab.FrameAt(3) != NoFrame || tab.FrameAt(9) != NoFrame {
		t.Error("unhook")
	}
	if _, err := New(Config{MaxFrames: 1}); err == nil {
		t.Error("no memory accepted")
	}
}

func TestGuest_mapCopySwap(t *testing.T) {
	tab, m, p := newTable(t)
	put(p, 8, xen.GTF_permit_access, 5, 0x10)
	put(p, 9, xen.GTF_permit_access, 5, 0x11)
	m.Write(0x10000, []byte("loop"))
	for _, x := range []struct {
		flags uint32
		want  xen.GrantStatus
	}{{0, xen.GNTST_bad_gntref}, {xen.GNTMAP_device_map, xen.GNTST_general_error}, {xen.GNTMAP_host_map | xen.GNTMAP_contains_pte, xen.GNTST_general_error}} {
		if _, s := tab.MapGuest(8, x.flags, 0x800); s != x.want {
			t.Errorf("flags %#x: %v", x.flags, s)
		}
	}
	if _, s := tab.MapGuest(8, xen.GNTMAP_host_map, 1<<40); s != xen.GNTST_general_error || tab.InUse() != 0 {
		t.Errorf("far frame: %v", s)
	}
	h, s := tab.MapGuest(8, xen.GNTMAP_host_map, 0x800)
	if s != 0 {
		t.Fatal(s)
	}
	var b [4]byte
	if m.Read(0x800000, b[:]) != nil || string(b[:]) != "loop" {
		t.Errorf("%q", b)
	}
	if s := tab.Swap(8, 9); s != xen.GNTST_eagain {
		t.Error(s)
	}
	if _, err := tab.Map(8, false); err == nil {
		t.Error("used by two domains")
	}
	if s := tab.UnmapGuest(h, 0x801); s != xen.GNTST_general_error {
		t.Error(s)
	}
	if s := tab.UnmapGuest(h, 0x800); s != 0 {
		t.Error(s)
	}
	if s := tab.UnmapGuest(h, 0x800); s != xen.GNTST_bad_handle {
		t.Error(s)
	}
	if s := tab.CopyGuest(CopyEnd{IsRef: true, Ref: 8, Offset: 1}, CopyEnd{IsRef: true, Ref: 9, Offset: 100}, 3); s != 0 {
		t.Error(s)
	}
	if m.Read(0x11000+100, b[:3]) != nil || string(b[:3]) != "oop" {
		t.Errorf("%q", b)
	}
	if s := tab.CopyGuest(CopyEnd{GFN: 0x10, Offset: 4095}, CopyEnd{GFN: 0x12}, 2); s != xen.GNTST_bad_copy_arg {
		t.Error(s)
	}
	if s := tab.CopyGuest(CopyEnd{GFN: 0x90000}, CopyEnd{GFN: 0x12}, 2); s != xen.GNTST_bad_page {
		t.Error(s)
	}
	if s := tab.Swap(8, 9); s != 0 || p.Load32(8*8+4) != 0x11 {
		t.Error(s)
	}
	if s := tab.Swap(8, 1<<20); s != xen.GNTST_bad_gntref {
		t.Error(s)
	}
	if tab.InUse() != 0 {
		t.Errorf("%d in use", tab.InUse())
	}
}

func TestMap_concurrentWithHostileGuest(t *testing.T) {
	tab, _, p := newTable(t)
	put(p, 8, xen.GTF_permit_access, 0, 0x10)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := uint32(0); ; i++ {
			select {
			case <-stop:
				return
			default:
				p.Store32(64, xen.GTF_permit_access|i&0x1fc)
				p.Store32(68, i&0x1ff)
			}
		}
	}()
	for range 2000 {
		if _, err := tab.Map(8, true); err == nil {
			if err := tab.Unmap(8, true); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	wg.Wait()
	if tab.InUse() != 0 {
		t.Error("left in use")
	}
}
