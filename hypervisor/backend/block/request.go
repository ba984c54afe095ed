package block

import (
	"encoding/binary"

	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// request is one request under way.
type request struct {
	raw   [112]byte // as it was copied from the ring, once
	op    uint8
	do    uint8 // the same, or what an indirect request is to do
	id    uint64
	off   int64 // in bytes
	n     int64
	iov   [][]byte
	taken []gnttab.Ref // mapped for it
	kept  []gnttab.Ref // persistent ones that it writes to
	segs  [maxIndirect * xen.BlkifSegmentSize]byte
}

func (r *request) reset() {
	clear(r.iov)
	r.iov, r.taken, r.kept, r.n = r.iov[:0], r.taken[:0], r.kept[:0], 0
}

// write says whether guest pages are written to.
func (r *request) write() bool { return r.do == xen.BLKIF_OP_READ }

// parse checks a request and maps its pages. What was taken is released with the request also where it fails.
func (q *queue) parse(r *request) error {
	l, le := q.layout, binary.LittleEndian
	r.op = r.raw[xen.BlkifOperation]
	r.do = r.op
	idAt, sectorAt := l.ID, l.Sector
	if r.op == xen.BLKIF_OP_INDIRECT {
		idAt, sectorAt = l.IndirectID, l.IndirectSector
		r.do = r.raw[xen.BlkifIndirectOp]
	}
	r.id = le.Uint64(r.raw[idAt:])
	first := le.Uint64(r.raw[sectorAt:])
	switch {
	case r.op == xen.BLKIF_OP_DISCARD:
		return r.place(first, le.Uint64(r.raw[l.DiscardCount:]), q.d.cfg.Image)
	case r.op == xen.BLKIF_OP_INDIRECT:
		n := int(le.Uint16(r.raw[xen.BlkifIndirectCount:]))
		if r.do != xen.BLKIF_OP_READ && r.do != xen.BLKIF_OP_WRITE || n == 0 || n > maxIndirect {
			return errFrontend
		}
		// All segments that are offered fit into one page.
		if err := q.d.cfg.Grants.CopyFrom(gnttab.Ref(le.Uint32(r.raw[l.IndirectGrants:])), 0, r.segs[:n*xen.BlkifSegmentSize]); err != nil {
			return err
		}
		return q.attach(r, first, r.segs[:n*xen.BlkifSegmentSize])
	case r.op > xen.BLKIF_OP_FLUSH_DISKCACHE:
		return nil // refused by start
	}
	n := int(r.raw[xen.BlkifCount])
	if n > xen.BLKIF_MAX_SEGMENTS_PER_REQUEST || n == 0 && r.op < xen.BLKIF_OP_WRITE_BARRIER {
		return errFrontend
	}
	return q.attach(r, first, r.raw[l.Segments:][:n*xen.BlkifSegmentSize])
}

// place checks where a request is, in sectors.
func (r *request) place(first, count uint64, i Image) error {
	all := uint64(i.Size() / sector)
	if first > all || count > all-first {
		return errFrontend
	}
	r.off, r.n = int64(first)*sector, int64(count)*sector
	return nil
}

// attach maps the pages of segments.
func (q *queue) attach(r *request, first uint64, segs []byte) error {
	sectors := uint64(0)
	for s := segs; len(s) > 0; s = s[xen.BlkifSegmentSize:] {
		from, to := s[xen.BlkifSegmentFirst], s[xen.BlkifSegmentLast]
		if from > to || to >= guestmem.PageSize/sector {
			return errFrontend
		}
		sectors += uint64(to-from) + 1
	}
	if sectors == 0 { // a flush, or a barrier without data: its place means nothing
		return nil
	}
	if err := r.place(first, sectors, q.d.cfg.Image); err != nil {
		return err
	}
	if q.kept == nil {
		return q.mapPages(r, segs)
	}
	for s := segs; len(s) > 0; s = s[xen.BlkifSegmentSize:] {
		page, err := q.page(r, gnttab.Ref(binary.LittleEndian.Uint32(s[xen.BlkifSegmentGrant:])))
		if err != nil {
			return err
		}
		r.iov = append(r.iov, part(page.Bytes(), s))
	}
	return nil
}

// part gives what a segment has of its page.
func part(page, seg []byte) []byte {
	return page[int(seg[xen.BlkifSegmentFirst])*sector : (int(seg[xen.BlkifSegmentLast])+1)*sector]
}

// mapPages maps the pages for this request only.
func (q *queue) mapPages(r *request, segs []byte) error {
	for s := segs; len(s) > 0; s = s[xen.BlkifSegmentSize:] {
		r.taken = append(r.taken, gnttab.Ref(binary.LittleEndian.Uint32(s[xen.BlkifSegmentGrant:])))
	}
	n, err := q.d.cfg.Grants.MapAll(r.taken, r.write(), func(i int, page []byte) {
		r.iov = append(r.iov, part(page, segs[i*xen.BlkifSegmentSize:]))
	})
	r.taken = r.taken[:n]
	return err
}

// page gives a granted page: one that is kept, or, where there are too many of them, mapped for this request.
func (q *queue) page(r *request, ref gnttab.Ref) (*guestmem.Page, error) {
	if p := q.kept[ref]; p != nil {
		r.keep(ref)
		return p, nil
	}
	if len(q.kept) < maxPersistent {
		if p, err := q.d.cfg.Grants.Map(ref, true); err == nil {
			q.kept[ref] = p
			r.keep(ref)
			return p, nil
		}
	}
	p, err := q.d.cfg.Grants.Map(ref, r.write())
	if err == nil {
		r.taken = append(r.taken, ref)
	}
	return p, err
}

func (r *request) keep(ref gnttab.Ref) {
	if r.write() {
		r.kept = append(r.kept, ref)
	}
}

// release gives back what was mapped.
func (r *request) release(q *queue) {
	if len(r.taken) > 0 {
		q.d.cfg.Grants.UnmapAll(r.taken, r.write())
	}
	for _, ref := range r.kept {
		q.d.cfg.Grants.Wrote(ref)
	}
}

// start does a request, or has it done.
func (q *queue) start(r *request) {
	i := q.d.cfg.Image
	switch r.do {
	case xen.BLKIF_OP_READ:
		q.read(r)
		return
	case xen.BLKIF_OP_WRITE, xen.BLKIF_OP_WRITE_BARRIER, xen.BLKIF_OP_FLUSH_DISKCACHE, xen.BLKIF_OP_DISCARD:
	default:
		q.finish(r, xen.BLKIF_RSP_EOPNOTSUPP)
		return
	}
	if i.ReadOnly() {
		q.finish(r, xen.BLKIF_RSP_ERROR)
		return
	}
	switch r.do {
	case xen.BLKIF_OP_WRITE:
		if _, ok := i.(Prompt); !ok {
			q.apart(r, func() error { return q.move(r) })
			return
		}
		q.finish(r, status(q.move(r))) // into the page cache: nothing is waited for
	case xen.BLKIF_OP_WRITE_BARRIER:
		// All earlier requests are done first, this one is on stable storage before it is answered, and later ones are not begun until then.
		q.push()
		q.drain()
		q.finish(r, status(q.barrier(r)))
	case xen.BLKIF_OP_FLUSH_DISKCACHE:
		q.apart(r, i.Sync)
	case xen.BLKIF_OP_DISCARD:
		if d, ok := i.(Discarder); ok {
			q.apart(r, func() error { return d.Discard(r.off, r.n) })
		} else {
			q.finish(r, xen.BLKIF_RSP_EOPNOTSUPP)
		}
	}
}

func (q *queue) read(r *request) {
	i := q.d.cfg.Image
	p, ok := i.(Prompt)
	if !ok || q.d.cfg.Wake != nil {
		q.apart(r, func() error { return q.move(r) })
		return
	}
	if done, err := p.ReadNow(r.iov, r.off); done || err != nil {
		q.finish(r, status(err))
		return
	}
	q.apart(r, func() error { return q.move(r) })
}

// now does a read or write that need not wait; if it has to, somebody else does it.
func (q *queue) now(r *request) {
	if r.do == xen.BLKIF_OP_READ {
		q.read(r)
		return
	}
	done, err := q.d.cfg.Image.(Prompt).WriteNow(r.iov, r.off)
	if done || err != nil {
		q.finish(r, status(err))
		return
	}
	q.mu.Lock()
	q.waits = true
	q.mu.Unlock()
	q.apart(r, func() error { return q.move(r) })
}

// move reads or writes.
func (q *queue) move(r *request) error {
	if r.do == xen.BLKIF_OP_READ {
		return q.d.cfg.Image.ReadVec(r.iov, r.off)
	}
	return q.d.cfg.Image.WriteVec(r.iov, r.off)
}

func (q *queue) barrier(r *request) error {
	i := q.d.cfg.Image
	if err := i.Sync(); err != nil {
		return err
	}
	if len(r.iov) == 0 {
		return nil
	}
	if err := i.WriteVec(r.iov, r.off); err != nil {
		return err
	}
	return i.Sync()
}

// count notes what a request was.
func (d *Disk) count(r *request, status int16) {
	s := &d.stats
	switch {
	case status != xen.BLKIF_RSP_OKAY:
		s.errors.Add(1)
	case r.do == xen.BLKIF_OP_READ:
		s.reads.Add(1)
		s.readBytes.Add(uint64(r.n))
	case r.do == xen.BLKIF_OP_FLUSH_DISKCACHE:
		s.flushes.Add(1)
	case r.do == xen.BLKIF_OP_DISCARD:
		s.discards.Add(1)
	default:
		s.writes.Add(1)
		s.writeBytes.Add(uint64(r.n))
	}
}
