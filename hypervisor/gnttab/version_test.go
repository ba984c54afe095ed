package gnttab

import (
	"errors"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// newTable2 is newTable after the change to version 2, with the page of statuses.
func newTable2(t testing.TB) (tab *Table, m *guestmem.Memory, p, st *guestmem.Page) {
	t.Helper()
	tab, m, p = newTable(t)
	if err := tab.SetVersion(2); err != 0 {
		t.Fatal(err)
	}
	st, was, err := tab.MapFrame(xen.XENMAPIDX_grant_table_status, 0x310)
	if err != 0 || was != NoFrame {
		t.Fatal(err)
	}
	return tab, m, p, st
}

func put2(p *guestmem.Page, ref Ref, flags uint32, dom xen.DomID, part uint32, frame uint64) {
	off := uint32(ref) * 16
	p.Store64(off+8, frame)
	p.Store32(off+4, part)
	p.Store32(off, flags|uint32(dom)<<16)
}

func TestVersion2_marksAreStatuses(t *testing.T) {
	tab, m, p, st := newTable2(t)
	m.Write(0x10000, []byte("hello"))
	put2(p, 9, xen.GTF_permit_access, 0, 0, 0x10)
	put2(p, 10, xen.GTF_permit_access|xen.GTF_readonly, 0, 0, 0x10)
	marks := func(ref Ref) uint32 { return st.Load32(uint32(ref)*2&^3) >> (ref & 1 * 16) & 0xffff }
	pg, err := tab.Map(9, false)
	if err != nil || string(pg.Bytes()[:5]) != "hello" || marks(9) != xen.GTF_reading || marks(8) != 0 {
		t.Fatalf("%v, marks %#x", err, marks(9))
	}
	if _, err := tab.Map(9, true); err != nil || marks(9) != xen.GTF_reading|xen.GTF_writing {
		t.Errorf("%v, marks %#x", err, marks(9))
	}
	if _, err := tab.Map(10, true); !errors.Is(err, xen.GNTST_general_error) || marks(10) != 0 {
		t.Errorf("write to a read-only grant: %v, marks %#x", err, marks(10))
	}
	if p.Load32(9*16) != xen.GTF_permit_access {
		t.Errorf("flags %#x", p.Load32(9*16))
	}
	if err := tab.SetVersion(1); err != xen.EBUSY {
		t.Errorf("version 1 while in use: %v", err)
	}
	tab.Unmap(9, true)
	if marks(9) != xen.GTF_reading {
		t.Errorf("marks %#x", marks(9))
	}
	tab.Unmap(9, false)
	if marks(9) != 0 {
		t.Errorf("marks %#x", marks(9))
	}
}

func TestVersion2_partsAndFrames(t *testing.T) {
	tab, m, p, _ := newTable2(t)
	m.Write(0x10000, []byte("0123456789abcdef"))
	put2(p, 9, xen.GTF_permit_access|xen.GTF_sub_page, 0, 4<<16|6, 0x10)
	put2(p, 10, xen.GTF_transitive, 0, 0, 0)
	put2(p, 11, xen.GTF_permit_access, 0, 0, 1<<40)
	put2(p, 12, xen.GTF_permit_access|xen.GTF_sub_page, 0, 0xffffffff, 0x10)
	if _, err := tab.Map(9, false); !errors.Is(err, xen.GNTST_general_error) {
		t.Errorf("map of a part: %v", err)
	}
	b := make([]byte, 4)
	if err := tab.CopyFrom(9, 6, b); err != nil || string(b) != "6789" {
		t.Errorf("%v %q", err, b)
	}
	for _, c := range []struct {
		off uint32
		n   int
	}{{5, 4}, {7, 4}, {6, 5}, {0, 16}, {20, 1}} {
		if err := tab.CopyFrom(9, c.off, make([]byte, c.n)); !errors.Is(err, xen.GNTST_general_error) {
			t.Errorf("%d bytes at %d: %v", c.n, c.off, err)
		}
	}
	if err := tab.CopyTo(9, 9, []byte("!")); err != nil || string(m.HostPage(0x10)[:11]) != "012345678!a" {
		t.Errorf("%v %q", err, m.HostPage(0x10)[:11])
	}
	if err := tab.CopyFrom(10, 0, b); !errors.Is(err, xen.GNTST_general_error) {
		t.Errorf("a grant of a grant: %v", err)
	}
	if err := tab.CopyFrom(11, 0, b); !errors.Is(err, xen.GNTST_bad_page) {
		t.Errorf("a frame beyond memory: %v", err)
	}
	if err := tab.CopyFrom(12, 0, b); !errors.Is(err, xen.GNTST_general_error) {
		t.Errorf("a part beyond its page: %v", err)
	}
	if tab.InUse() != 0 {
		t.Errorf("%d in use", tab.InUse())
	}
	if _, err := tab.Map(256, false); !errors.Is(err, xen.GNTST_bad_gntref) {
		t.Errorf("an entry beyond the table: %v", err)
	}
}

// TestSetVersion_reservedEntriesStay: the entries of the toolstack are translated, used or not; all others go.
func TestSetVersion_reservedEntriesStay(t *testing.T) {
	tab, _, p := newTable(t)
	if err := tab.Grant(xen.GNTTAB_RESERVED_XENSTORE, 0, 0x20); err != nil {
		t.Fatal(err)
	}
	put(p, 9, xen.GTF_permit_access, 0, 0x10)
	if _, err := tab.Map(xen.GNTTAB_RESERVED_XENSTORE, true); err != nil {
		t.Fatal(err)
	}
	if err := tab.SetVersion(2); err != 0 {
		t.Fatal(err)
	}
	st, _, _ := tab.MapFrame(xen.XENMAPIDX_grant_table_status, 0x310)
	if p.Load32(16) != xen.GTF_permit_access || p.Load64(24) != 0x20 || st.Load32(0)>>16 != xen.GTF_reading|xen.GTF_writing || p.Load64(9*8) != 0 {
		t.Errorf("entry %#x frame %#x status %#x", p.Load32(16), p.Load64(24), st.Load32(0))
	}
	if err := tab.SetVersion(1); err != 0 {
		t.Fatal(err)
	}
	if p.Load32(8) != xen.GTF_permit_access|xen.GTF_reading|xen.GTF_writing || p.Load32(12) != 0x20 {
		t.Errorf("entry %#x frame %#x", p.Load32(8), p.Load32(12))
	}
	if err := tab.Unmap(xen.GNTTAB_RESERVED_XENSTORE, true); err != nil || p.Load32(8) != xen.GTF_permit_access {
		t.Errorf("%v, entry %#x", err, p.Load32(8))
	}
}

func TestSetVersion_refusals(t *testing.T) {
	tab, m, p, _ := newTable2(t)
	put2(p, 2, xen.GTF_permit_access, 0, 0, 1<<32)
	if err := tab.SetVersion(1); err != xen.ERANGE || tab.Version() != 2 {
		t.Errorf("a frame of 33 bits: %v", err)
	}
	put2(p, 2, xen.GTF_transitive, 0, 0, 0)
	if err := tab.SetVersion(1); err != xen.ERANGE {
		t.Errorf("a grant of a grant: %v", err)
	}
	put2(p, 2, xen.GTF_accept_transfer, 0, 0, 5)
	if err := m.Map(0x310, mustPage(t, tab)); err != nil {
		t.Fatal(err)
	}
	if err := tab.SetVersion(1); err != 0 || p.Load64(16) != 0 || m.HostPage(0x310) != nil || tab.Shows(0x310) {
		t.Errorf("%v, entry %#x", err, p.Load64(16))
	}
	if err := tab.SetVersion(3); err != xen.EINVAL {
		t.Errorf("version 3: %v", err)
	}
	old, err := New(Config{Dom: 5, Memory: m, MaxFrames: 4, MaxVersion: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.SetVersion(2); err != xen.ENOSYS || old.Version() != 1 {
		t.Errorf("a table limited to version 1: %v", err)
	}
}

// mustPage gives the page of statuses.
func mustPage(t *testing.T, tab *Table) *guestmem.Page {
	t.Helper()
	p, _, err := tab.MapFrame(xen.XENMAPIDX_grant_table_status, 0x310)
	if err != 0 {
		t.Fatal(err)
	}
	return p
}

// TestMapFrame_statusPages: there is one for every eight frames, and asking for one makes the frames.
func TestMapFrame_statusPages(t *testing.T) {
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 4 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tab, _ := New(Config{Dom: 5, Memory: m, MaxFrames: 20})
	const status = xen.XENMAPIDX_grant_table_status
	if tab.CanMap(status) {
		t.Error("version 1 has statuses")
	}
	tab.SetVersion(2)
	for _, c := range []struct {
		index  uint64
		ok     bool
		frames uint32
	}{{status, true, 1}, {status + 1, true, 16}, {status + 2, false, 16}, {19, true, 20}, {status + 2, true, 20}, {status + 3, false, 20}, {20, false, 20}, {1<<32 | status, false, 20}} {
		_, _, e := tab.MapFrame(c.index, guestmem.GFN(0x300+c.index&0xff))
		if n, _ := tab.Size(); (e == 0) != c.ok || tab.CanMap(c.index) != c.ok || n != c.frames {
			t.Errorf("index %#x: %v, %d frames", c.index, e, n)
		}
	}
	if s := tab.Swap(9, 5000); s != xen.GNTST_okay {
		t.Errorf("swap %d", s)
	}
}
