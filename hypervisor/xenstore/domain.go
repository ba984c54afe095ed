package xenstore

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"gozen/hypervisor/xen"
)

// Domain is what the tree of a new domain is made from.
type Domain struct {
	ID          xen.DomID
	Name, UUID  string
	Type        string // pvh, pv or hvm
	VCPUs       int
	MaxMemKiB   uint64 // memory/static-max
	MemoryKiB   uint64 // memory/target
	VideoKiB    uint64
	StorePort   uint32
	StoreRef    uint64 // gfn of the xenstore ring; mfn for PV
	ConsolePort uint32
	ConsoleRef  uint64
	TTY         string // of the console; may be set later
	Started     time.Time
	Image       map[string]string // PV: /vm/UUID/image/*: ostype, kernel, ramdisk, cmdline
}

// entry is a node to be made: its place, value and permissions.
type entry struct {
	path, value string
	perms       []Perm
}

// AddDomain makes the tree that libxl of Xen 4.17 makes for a domain, with its owners, and introduces the domain.
func (s *Store) AddDomain(d Domain) error {
	if d.ID == 0 {
		return errors.New("xenstore: domain 0 is the host")
	}
	for _, e := range d.entries() {
		if err := s.Set(e.path, e.value, e.perms...); err != nil {
			return fmt.Errorf("tree of domain %d: %w", d.ID, err)
		}
	}
	s.Introduce(d.ID)
	return nil
}

// RemoveDomain takes away all of a domain's tree and says that it is gone.
func (s *Store) RemoveDomain(id xen.DomID, uuid string) {
	n := strconv.Itoa(int(id))
	for _, p := range []string{DomainPath(id), "/vm/" + uuid, "/libxl/" + n, "/local/domain/0/backend/console/" + n} {
		_ = s.Rm(p) // one that is not there is as good
	}
	s.Release(id)
}

func (d *Domain) entries() []entry {
	n := strconv.Itoa(int(d.ID))
	home, vm := DomainPath(d.ID), "/vm/"+d.UUID
	hidden := []Perm{{0, None}}               // n0
	public := []Perm{{0, None}, {d.ID, Read}} // n0,rN
	own := []Perm{{d.ID, None}}               // nN
	shared := []Perm{{d.ID, None}, {0, Read}} // nN,r0
	num := func(v uint64) string { return strconv.FormatUint(v, 10) }
	var out []entry
	add := func(perms []Perm, path, value string) { out = append(out, entry{path, value, perms}) }

	add(public, home, "")
	add(public, vm, "")
	add(public, vm+"/name", d.Name)
	add(public, vm+"/uuid", d.UUID)
	add(public, vm+"/start_time", strconv.FormatInt(d.Started.Unix(), 10)+"."+fmt.Sprintf("%02d", d.Started.Nanosecond()/1e7))
	for _, k := range []string{"ostype", "kernel", "ramdisk", "cmdline"} {
		if v, ok := d.Image[k]; ok {
			add(public, vm+"/image/"+k, v)
		}
	}
	add(public, home+"/vm", vm)
	add(public, home+"/name", d.Name)
	add(public, home+"/domid", n)
	for i := range d.VCPUs {
		add(public, fmt.Sprintf("%s/cpu/%d/availability", home, i), "online")
	}
	add(public, home+"/memory/static-max", num(d.MaxMemKiB))
	add(public, home+"/memory/target", num(d.MemoryKiB))
	add(public, home+"/memory/videoram", num(d.VideoKiB))
	add(public, home+"/device", "")
	add(own, home+"/device/suspend/event-channel", "")
	add(public, home+"/control", "")
	for _, k := range []string{"shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq"} {
		add(own, home+"/control/"+k, "")
	}
	for _, k := range []string{"platform-feature-multiprocessor-suspend", "platform-feature-xs_reset_watches"} {
		add(public, home+"/control/"+k, "1")
	}
	for _, k := range []string{"data", "drivers", "feature", "attr", "error"} {
		add(own, home+"/"+k, "")
	}
	add(public, home+"/store/port", strconv.Itoa(int(d.StorePort)))
	add(public, home+"/store/ring-ref", num(d.StoreRef))

	back := "/local/domain/0/backend/console/" + n + "/0"
	front := home + "/console"
	library := "/libxl/" + n
	add(hidden, library, "")
	add(hidden, library+"/type", d.Type)
	add(hidden, library+"/dm-version", "qemu_xen")
	add(shared, front, "")
	add(shared, front+"/backend", back)
	add(shared, front+"/backend-id", "0")
	for _, kv := range [][2]string{{"limit", "1048576"}, {"type", "xenconsoled"}, {"output", "pty"}, {"tty", d.TTY},
		{"port", strconv.Itoa(int(d.ConsolePort))}, {"ring-ref", num(d.ConsoleRef)}} {
		add(public, front+"/"+kv[0], kv[1])
	}
	for _, base := range []string{back, library + "/device/console/0"} {
		perms := public
		if base != back {
			perms = hidden
			add(perms, base+"/frontend", front)
			add(perms, base+"/backend", back)
		} else {
			add(perms, base, "")
			add(perms, base+"/frontend", front)
		}
		for _, kv := range [][2]string{{"frontend-id", n}, {"online", "1"}, {"state", "1"}, {"protocol", "vt100"}} {
			add(perms, base+"/"+kv[0], kv[1])
		}
	}
	return out
}
