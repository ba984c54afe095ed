package build

import (
	"errors"
	"fmt"

	"gozen/hypervisor/config"
	"gozen/hypervisor/guestmem"
)

// newMemory makes the guest's memory on what the configuration asks for.
func (m *Machine) newMemory(ram []guestmem.Range) (err error) {
	b := guestmem.Backing{Huge: m.cfg.MemoryBacking == config.BackingHuge, Populate: m.cfg.MemoryPrealloc}
	if m.mem, err = guestmem.NewBacked(ram, b); err == nil {
		return nil
	}
	e := &config.Error{Field: "memory", What: fmt.Sprintf("can't allocate %d MiB of memory for domain %q", m.cfg.MemoryMiB, m.cfg.Name), Why: err.Error()}
	switch {
	case errors.Is(err, guestmem.ErrHugePages):
		need := guestmem.HugePages(ram)
		e.Field, e.Why = "memory_backing", fmt.Sprintf("it takes %d huge pages of 2 MiB, and the host has too few that are free", need)
		total := need
		if all, free, err := guestmem.Pool(); err == nil {
			e.Why = fmt.Sprintf("it takes %d huge pages of 2 MiB, and the host has %d that are free", need, free)
			total = all + need - min(need, free)
		}
		e.Fix = fmt.Sprintf("echo %d > %s/nr_hugepages, or memory_backing=\"anon\"", total, guestmem.PoolPath)
	case errors.Is(err, guestmem.ErrNoMemory):
		e.Fix = "give the domain less memory, or free some of the host's; limits of the process (ulimit -v) and of its cgroup count, too"
	case b.Huge:
		e.Field, e.Fix = "memory_backing", `use a host kernel with huge pages of 2 MiB (CONFIG_HUGETLBFS), or memory_backing="anon"`
	case b.Populate:
		e.Field, e.Fix = "memory_prealloc", "leave memory_prealloc out"
	default:
		return err
	}
	return e
}

// memoryWords says what lies behind the guest's memory.
func (m *Machine) memoryWords() string {
	switch {
	case m.cfg.MemoryBacking == config.BackingHuge:
		return "hugetlb: 2 MiB pages, taken at the start; what the guest gives up stays with the domain"
	case m.cfg.MemoryPrealloc:
		return "anonymous, private, taken at the start"
	}
	return "anonymous, private, taken when touched"
}
