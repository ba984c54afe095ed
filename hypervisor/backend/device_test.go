package backend

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"gozen/hypervisor/xen"
	"gozen/hypervisor/xenstore"
)

// driver is a driver that only counts.
type driver struct {
	mu        sync.Mutex
	connected int // joined now, 0 or 1
	times     int
	fail      error
	got       string
}

func (d *driver) Offer() map[string]string { return map[string]string{"feature-x": "1"} }

func (d *driver) Connect(front Front) (map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got, _ = front("ring-ref")
	d.connected++
	d.times++
	return map[string]string{"sectors": "9"}, d.fail
}

func (d *driver) Disconnect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connected--
}

func (d *driver) state() (connected, times int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.connected, d.times
}

type pair struct {
	t     *testing.T
	store *xenstore.Store
	d     *driver
	dev   *Device
}

const (
	frontDir = "/local/domain/7/device/vbd/51712"
	backDir  = "/local/domain/0/backend/vbd/7/51712"
)

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, store: xenstore.New(xenstore.Quota{}), d: &driver{}}
	if err := p.store.AddDomain(xenstore.Domain{ID: 7, Name: "g", UUID: "u", VCPUs: 1}); err != nil {
		t.Fatal(err)
	}
	dev, err := NewDevice(DeviceConfig{Store: p.store, Domain: 7, Kind: "vbd", ID: 51712, Driver: p.d, Back: map[string]string{"mode": "w"},
		Front: map[string]string{"virtual-device": "51712"}})
	if err != nil {
		t.Fatal(err)
	}
	p.dev = dev
	t.Cleanup(dev.Close)
	return p
}

// front sets the front end's state as a guest does.
func (p *pair) front(state int) {
	p.t.Helper()
	if err := p.store.Write(frontDir+"/state", []byte(strconv.Itoa(state))); err != nil {
		p.t.Fatal(err)
	}
}

// back waits for a state of the back end.
func (p *pair) back(state int) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		b, _ := p.store.Read(backDir + "/state")
		if string(b) == strconv.Itoa(state) {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("the back end's state is %q, want %d", b, state)
		}
	}
}

func (p *pair) want(connected, times int) {
	p.t.Helper()
	if c, n := p.d.state(); c != connected || n != times {
		p.t.Errorf("joined %d, %d times; want %d, %d", c, n, connected, times)
	}
}

func (p *pair) connect() {
	p.t.Helper()
	p.back(xen.XenbusStateInitWait)
	_ = p.store.Write(frontDir+"/ring-ref", []byte("8"))
	p.front(xen.XenbusStateInitialised)
	p.back(xen.XenbusStateConnected)
}

func TestDevice_handshake(t *testing.T) {
	p := newPair(t)
	p.back(xen.XenbusStateInitWait)
	for path, want := range map[string]string{frontDir + "/backend": backDir, frontDir + "/virtual-device": "51712", frontDir + "/state": "1", backDir + "/frontend": frontDir,
		backDir + "/feature-x": "1", backDir + "/mode": "w", backDir + "/online": "1"} {
		if b, err := p.store.Read(path); err != nil || string(b) != want {
			t.Errorf("%s is %q (%v), want %q", path, b, err, want)
		}
	}
	p.want(0, 0)
	p.connect()
	p.want(1, 1)
	if b, _ := p.store.Read(backDir + "/sectors"); string(b) != "9" || p.d.got != "8" {
		t.Errorf("sectors %q, ring-ref %q", b, p.d.got)
	}
	p.front(xen.XenbusStateConnected)
	p.want(1, 1)
	// The guest's kernel unloads its driver and loads it again.
	p.front(xen.XenbusStateClosing)
	p.back(xen.XenbusStateClosing)
	p.want(0, 1)
	p.front(xen.XenbusStateClosed)
	p.back(xen.XenbusStateClosed)
	p.front(xen.XenbusStateInitialising)
	p.connect()
	p.want(1, 2)
	// Another kernel takes over without a word.
	p.front(xen.XenbusStateInitialising)
	p.connect()
	p.want(1, 3)
}

func TestDevice_detach(t *testing.T) {
	p := newPair(t)
	p.connect()
	gone := p.dev.Detach()
	p.back(xen.XenbusStateClosing)
	select {
	case <-gone:
		t.Error("gone while the guest has it")
	case <-time.After(10 * time.Millisecond):
	}
	p.want(1, 1)
	p.front(xen.XenbusStateClosed)
	<-gone
	p.want(0, 1)
	for _, dir := range []string{frontDir, backDir} {
		if _, err := p.store.Read(dir); err == nil {
			t.Errorf("%s is still there", dir)
		}
	}
}

func TestDevice_detachUnseen(t *testing.T) {
	p := newPair(t)
	p.back(xen.XenbusStateInitWait)
	<-p.dev.Detach()
	p.want(0, 0)
}

func TestDevice_fails(t *testing.T) {
	p := newPair(t)
	p.d.fail = errors.New("no such ring")
	p.back(xen.XenbusStateInitWait)
	p.front(xen.XenbusStateConnected)
	p.back(xen.XenbusStateClosing)
	p.want(0, 1)
	p.d.fail = nil
	p.front(xen.XenbusStateClosed)
	p.back(xen.XenbusStateClosed)
	p.front(xen.XenbusStateInitialising)
	p.connect()
	p.dev.Fail(errors.New("a corrupt ring"))
	p.want(0, 2)
	p.back(xen.XenbusStateClosing)
}

// TestDevice_hostile: states that make no sense, and a frontend that removes its folder, hurt nobody.
func TestDevice_hostile(t *testing.T) {
	p := newPair(t)
	for _, s := range []string{"", "-1", "99999999999999999999", "4", "3", "2", "0", "7", "8", "x", "6", "5", "1"} {
		_ = p.store.Write(frontDir+"/state", []byte(s))
	}
	p.connect()
	_ = p.store.Rm(frontDir)
	p.back(xen.XenbusStateClosed)
	p.want(0, 1)
	p.dev.Close()
}
