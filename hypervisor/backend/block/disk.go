package block

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"gozen/hypervisor/backend"
	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// sector is the unit of the protocol, whatever the image's may be.
const sector = 512

// Limits of what is offered.
const (
	maxIndirect   = 256 // segments of a request
	maxPageOrder  = 2   // a ring has at most 1<<maxPageOrder pages
	maxPersistent = 1056
)

// Image is what a disk's sectors lie in. All methods may be called from any goroutine.
type Image interface {
	Size() int64
	ReadOnly() bool
	// ReadVec and WriteVec move bytes at an offset from or to the slices in turn, all of them or with an error.
	ReadVec(p [][]byte, off int64) error
	WriteVec(p [][]byte, off int64) error
	// Sync returns when everything written is on stable storage.
	Sync() error
}

// Prompt is an Image that can tell whether a read or a write need not wait, and whose WriteVec waits only where that cannot be helped.
type Prompt interface {
	// ReadNow is ReadVec if the bytes are at hand; false if they are not, and then the slices may have been written to.
	ReadNow(p [][]byte, off int64) (bool, error)
	// WriteNow is WriteVec if nothing has to be waited for; false if so, and then some may have been written.
	WriteNow(p [][]byte, off int64) (bool, error)
}

// Discarder is an Image that can forget sectors, which then read as anything.
type Discarder interface {
	Discard(off, n int64) error
}

// Config says what a disk works on.
type Config struct {
	Grants *gnttab.Table
	Events *evtchn.Table
	Image  Image
	// Queues is how many a frontend may have, at least 1.
	Queues int
	CDROM  bool
	// Persistent offers that grants stay mapped. The guest then copies all data, which costs it more than the mapping costs us.
	Persistent bool
	// Broken is called, from any goroutine and with no lock held, when a ring has what no working frontend puts there. The owner is to call
	// Disconnect.
	Broken func(error)
	// Wake, if set, makes the disk work without goroutines of its own; see backend.ConsoleConfig.
	Wake func()
}

// Disk is a backend.Driver.
type Disk struct {
	cfg Config

	mu     sync.Mutex
	queues []*queue

	stats counters
}

// Stats counts what a disk has done.
type Stats struct {
	Reads, Writes, Flushes, Discards, Errors uint64
	ReadBytes, WriteBytes                    uint64
}

type counters struct {
	reads, writes, flushes, discards, errors, readBytes, writeBytes atomic.Uint64
}

// New makes a disk.
func New(cfg Config) *Disk {
	cfg.Queues = max(cfg.Queues, 1)
	return &Disk{cfg: cfg}
}

// Offer implements backend.Driver.
func (d *Disk) Offer() map[string]string {
	nodes := map[string]string{
		"feature-max-indirect-segments": strconv.Itoa(maxIndirect), "max-ring-page-order": strconv.Itoa(maxPageOrder),
		"multi-queue-max-queues": strconv.Itoa(d.cfg.Queues),
	}
	if d.cfg.Persistent {
		nodes["feature-persistent"] = "1"
	}
	if d.cfg.Image.ReadOnly() {
		return nodes
	}
	nodes["feature-flush-cache"], nodes["feature-barrier"] = "1", "1"
	if _, ok := d.cfg.Image.(Discarder); ok {
		nodes["feature-discard"], nodes["discard-granularity"], nodes["discard-alignment"], nodes["discard-secure"] = "1", "4096", "0", "0"
	}
	return nodes
}

// Nodes gives what the backend tells of the image: its size may change.
func (d *Disk) Nodes() map[string]string {
	info := 0
	if d.cfg.CDROM {
		info |= xen.VDISK_CDROM | xen.VDISK_REMOVABLE
	}
	if d.cfg.Image.ReadOnly() {
		info |= xen.VDISK_READONLY
	}
	return map[string]string{"sectors": strconv.FormatInt(d.cfg.Image.Size()/sector, 10), "sector-size": strconv.Itoa(sector), "info": strconv.Itoa(info)}
}

// Connect implements backend.Driver.
func (d *Disk) Connect(front backend.Front) (map[string]string, error) {
	layout := &xen.Blkif64
	switch p, _ := front("protocol"); p {
	case "", "x86_64-abi", "arm-abi":
	case "x86_32-abi":
		layout = &xen.Blkif32
	default:
		return nil, fmt.Errorf("the frontend's protocol is %q", p)
	}
	queues, err := front.Number("multi-queue-num-queues", 1, uint64(d.cfg.Queues), "1")
	if err != nil {
		return nil, err
	}
	order, err := front.Number("ring-page-order", 0, maxPageOrder, "0")
	if err != nil {
		return nil, err
	}
	persistent := d.cfg.Persistent && front.Has("feature-persistent")
	for i := range queues {
		prefix := backend.Queue(i, queues)
		port, err := front.Number(prefix+"event-channel", 1, 1<<32-1, "")
		if err != nil {
			return nil, err
		}
		var refs []gnttab.Ref
		for p := range uint64(1) << order {
			key := prefix + "ring-ref"
			if order > 0 {
				key += strconv.FormatUint(p, 10)
			}
			ref, err := front.Number(key, 0, 1<<32-1, "")
			if err != nil {
				return nil, err
			}
			refs = append(refs, gnttab.Ref(ref))
		}
		q, err := newQueue(d, layout, evtchn.Port(port), refs, persistent)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		d.queues = append(d.queues, q)
		d.mu.Unlock()
		q.Kick()
	}
	return d.Nodes(), nil
}

// Disconnect implements backend.Driver.
func (d *Disk) Disconnect() {
	d.mu.Lock()
	queues := d.queues
	d.queues = nil
	d.mu.Unlock()
	for _, q := range queues {
		q.close()
	}
}

// Poll does, of a disk without goroutines, what there is to do.
func (d *Disk) Poll() {
	d.mu.Lock()
	queues := d.queues
	d.mu.Unlock()
	for _, q := range queues {
		q.Poll()
	}
}

// Stats gives what the disk has done so far.
func (d *Disk) Stats() Stats {
	c := &d.stats
	return Stats{Reads: c.reads.Load(), Writes: c.writes.Load(), Flushes: c.flushes.Load(), Discards: c.discards.Load(), Errors: c.errors.Load(),
		ReadBytes: c.readBytes.Load(), WriteBytes: c.writeBytes.Load()}
}

var errFrontend = errors.New("the frontend asks for what no frontend should")

// mapAll maps pages for the ring.
func mapAll(g *gnttab.Table, refs []gnttab.Ref) (pages []*guestmem.Page, err error) {
	for _, r := range refs {
		p, err := g.Map(r, true)
		if err != nil {
			g.UnmapAll(refs[:len(pages)], true)
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
}
