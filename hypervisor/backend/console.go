package backend

import (
	"io"
	"sync"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
)

// maxTyped is how many bytes of input wait for room in the ring.
const maxTyped = 4096

// ConsoleConfig says what a console backend works on.
type ConsoleConfig struct {
	Page *guestmem.Page // the ring
	// Out gets all output in order, from the backend's goroutine. Its errors are ignored; it must not block for long, since the
	// guest waits when its ring is full. control.ConsoleLog is one.
	Out io.Writer
	// Notify signals the guest's event channel. OnCorrupt, which may be nil, is told of a ring that no working guest makes.
	Notify    func()
	OnCorrupt func(error)
	// Wake, if set, makes the backend work without a goroutine of its own: Wake is called, from any goroutine, when the
	// owner shall call Poll. It must not block.
	Wake func()
}

// Console serves a guest's console ring (public/io/console.h).
type Console struct {
	*Worker
	cfg ConsoleConfig
	out *ring.Reader
	buf [xen.ConsoleOutSize]byte

	mu     sync.Mutex
	in     *ring.Writer
	typed  []byte // input that found no room in the ring yet
	room   chan struct{}
	broken error
	closed bool
}

// NewConsole starts a console backend. Output that is in the ring already is taken at once.
func NewConsole(cfg ConsoleConfig) *Console {
	in, out := ring.Console(cfg.Page)
	c := &Console{cfg: cfg, in: in, out: out, room: make(chan struct{}, 1)}
	c.Worker = StartWorker(c.step, cfg.Wake)
	c.Kick()
	return c
}

// Close takes the output that is left in the ring and stops. Input is refused from then on.
func (c *Console) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.Worker.Stop()
	c.wakeTypist()
	return nil
}

// Write gives input to the guest. It takes what there is room for, never blocks, and says how many bytes it took: fewer
// than len(p) without error when the guest does not read. InputRoom tells when to try again. After Close, or when the
// ring is corrupt, it fails.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.broken != nil || c.closed {
		err := c.broken
		c.mu.Unlock()
		if err == nil {
			err = io.ErrClosedPipe
		}
		return 0, err
	}
	n := min(len(p), maxTyped-len(c.typed))
	c.typed = append(c.typed, p[:n]...)
	moved, err := c.feed()
	c.mu.Unlock()
	c.report(moved > 0, err)
	return n, err
}

// InputRoom gives a channel on which a value arrives when input that waited has moved on, and at Close.
func (c *Console) InputRoom() <-chan struct{} { return c.room }

// feed moves waiting input to the ring; the caller holds mu.
func (c *Console) feed() (int, error) {
	if len(c.typed) == 0 || c.broken != nil {
		return 0, nil
	}
	n, err := c.in.Write(c.typed)
	if err != nil {
		c.broken, c.typed = err, nil
		return 0, err
	}
	if c.typed = c.typed[n:]; len(c.typed) == 0 {
		c.typed = nil
	}
	return n, nil
}

// step is one look at both rings.
func (c *Console) step() {
	c.mu.Lock()
	broken := c.broken != nil
	waited := len(c.typed) > 0
	fed, err := c.feed()
	c.mu.Unlock()
	c.report(fed > 0, err)
	if waited && fed > 0 {
		c.wakeTypist()
	}
	if broken || err != nil {
		return
	}
	for range 64 { // then let a stop or other goroutines in: a guest may fill the ring as fast as we empty it
		n, err := c.out.Read(c.buf[:])
		if err != nil {
			c.mu.Lock()
			c.broken = err
			c.mu.Unlock()
		}
		if n > 0 && c.cfg.Out != nil {
			_, _ = c.cfg.Out.Write(c.buf[:n])
		}
		c.report(n > 0, err)
		if n == 0 {
			return
		}
	}
	c.Kick()
}

func (c *Console) wakeTypist() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// report signals the guest when bytes moved, and the owner when the ring is corrupt.
func (c *Console) report(moved bool, err error) {
	if moved && c.cfg.Notify != nil {
		c.cfg.Notify()
	}
	if err != nil && c.cfg.OnCorrupt != nil {
		c.cfg.OnCorrupt(err)
	}
}
