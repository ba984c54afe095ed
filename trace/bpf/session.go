package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Room of the maps. Events that find none are counted as lost.
const (
	figuresMax = 32768 // threads times values of keys times buckets, for each probe
	threadsMax = 4096
)

// Session is a set of probes in the kernel. All of it is the process's own: whatever ends the process detaches everything.
type Session struct {
	maps     map[string]*ebpf.Map
	probes   []*live
	attached []int // perf events
}

// live is a probe that is loaded.
type live struct {
	*Probe
	programs []*ebpf.Program
	ids      []uint64
	names    []string
}

// Refused says that a probe cannot be had here.
type Refused struct {
	Probe string
	Err   error
}

// Open loads the probes. Those that this kernel cannot have are told in refused; the others go on. The error is for what concerns all: no right to
// use eBPF.
func Open(t *Tracefs, probes []Probe) (s *Session, refused []Refused, err error) {
	raiseMemlock()
	s = &Session{maps: map[string]*ebpf.Map{}}
	defer func() {
		if err != nil {
			s.Close()
			s = nil
		}
	}()
	for _, m := range []*ebpf.MapSpec{
		{Name: mapProcesses, Type: ebpf.Hash, KeySize: 4, ValueSize: 1, MaxEntries: threadsMax},
		{Name: mapThreads, Type: ebpf.Hash, KeySize: 4, ValueSize: 1, MaxEntries: threadsMax},
	} {
		if err := s.makeMap(m); err != nil {
			return s, nil, err
		}
	}
	for i := range probes {
		p := &probes[i]
		programs, err := Programs(p, t.Format)
		if err == nil {
			err = s.load(p, programs)
		}
		if err != nil {
			refused = append(refused, Refused{p.Name, err})
		}
	}
	return s, refused, nil
}

func (s *Session) makeMap(spec *ebpf.MapSpec) error {
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return fmt.Errorf("make the map %s: %w", spec.Name, explain(err))
	}
	s.maps[spec.Name] = m
	return nil
}

// explain says what a refusal by the kernel means.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (it takes root, or CAP_BPF and CAP_PERFMON)", err)
	}
	return err
}

func (s *Session) load(p *Probe, programs []Program) error {
	if err := s.makeMap(&ebpf.MapSpec{Name: mapFigures(p), Type: ebpf.Hash, KeySize: uint32(keySize(p)), ValueSize: uint32(valueSize(p)), MaxEntries: figuresMax}); err != nil {
		return err
	}
	if err := s.makeMap(&ebpf.MapSpec{Name: mapLost(p), Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return err
	}
	if p.Latency != nil {
		if err := s.makeMap(&ebpf.MapSpec{Name: mapStarts(p), Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: threadsMax}); err != nil {
			return err
		}
	}
	l := &live{Probe: p}
	for _, q := range programs {
		prog, err := s.loadProgram(p.Name, q)
		if err != nil {
			l.close()
			return err
		}
		l.programs, l.ids, l.names = append(l.programs, prog), append(l.ids, q.ID), append(l.names, q.Tracepoint)
	}
	s.probes = append(s.probes, l)
	return nil
}

func (s *Session) loadProgram(name string, q Program) (*ebpf.Program, error) {
	for m := range q.Instructions.ReferenceOffsets() {
		if live := s.maps[m]; live != nil {
			if err := q.Instructions.AssociateMap(m, live); err != nil {
				return nil, err
			}
		}
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.TracePoint, Instructions: q.Instructions, License: license})
	var refused *ebpf.VerifierError
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("load the program for %s: %+v", q.Tracepoint, refused)
	}
	if err != nil {
		return nil, fmt.Errorf("load the program for %s: %w", q.Tracepoint, explain(err))
	}
	return prog, nil
}

// license is what the kernel gives its helpers to. Ours is Apache-2.0; programs that use tracing helpers say GPL as well.
const license = "Dual BSD/GPL"

func (l *live) close() {
	for _, p := range l.programs {
		_ = p.Close()
	}
}

// Follow makes events of a process and of threads count, from now on.
func (s *Session) Follow(process int, threads []int) error {
	if err := s.maps[mapProcesses].Put(uint32(process), uint8(1)); err != nil {
		return fmt.Errorf("follow process %d: %w", process, err)
	}
	for _, t := range threads {
		if err := s.maps[mapThreads].Put(uint32(t), uint8(1)); err != nil {
			return fmt.Errorf("follow thread %d: %w", t, err)
		}
	}
	return nil
}

// Forget ends that: a process that is gone leaves its number to others. What was counted stays.
func (s *Session) Forget(process int, threads []int) {
	_ = s.maps[mapProcesses].Delete(uint32(process))
	for _, t := range threads {
		_ = s.maps[mapThreads].Delete(uint32(t))
	}
}

// Start attaches all programs, a probe's end before its starts. Probes that cannot be attached are told in refused; the others count.
func (s *Session) Start() (refused []Refused) {
	for _, l := range s.probes {
		for i, p := range l.programs {
			fd, err := attach(l.ids[i], p.FD())
			if err != nil {
				if err = explain(err); errors.Is(err, unix.EACCES) {
					err = fmt.Errorf("%w (the program reads behind the end of the record)", err)
				}
				refused = append(refused, Refused{l.Name, fmt.Errorf("attach to %s: %w", l.names[i], err)})
				break
			}
			s.attached = append(s.attached, fd)
		}
	}
	return refused
}

// attach makes a program run at a tracepoint, on all CPUs, until the descriptor is closed.
func attach(id uint64, program int) (int, error) {
	// A program belongs to the tracepoint as a whole, whichever CPU the event was opened for; CPU 0 is always there.
	fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Size: unix.PERF_ATTR_SIZE_VER1,
		Sample_type: unix.PERF_SAMPLE_RAW, Sample: 1, Wakeup: 1}, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	if err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, program); err == nil {
		err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Stop detaches all programs. What was counted stays until Close.
func (s *Session) Stop() {
	for _, fd := range s.attached {
		_ = unix.Close(fd)
	}
	s.attached = nil
}

// Close gives everything back.
func (s *Session) Close() {
	s.Stop()
	for _, l := range s.probes {
		l.close()
	}
	for _, m := range s.maps {
		_ = m.Close()
	}
	s.probes, s.maps = nil, nil
}

// Row is the figures of one thread and one set of keys.
type Row struct {
	Thread int
	Keys   []uint64 // in the order of the probe's; signed fields are extended
	Count  uint64
	// Hist is the distribution; nil for a Count.
	Hist *Hist
}

func (s *Session) probe(name string) *Probe {
	for _, l := range s.probes {
		if l.Name == name {
			return l.Probe
		}
	}
	return nil
}

// Read gives the figures of a probe, nil if it was refused. The order is not defined.
func (s *Session) Read(name string) ([]Row, error) {
	p := s.probe(name)
	if p == nil {
		return nil, nil
	}
	key, value := make([]byte, keySize(p)), make([]byte, valueSize(p))
	found := map[string]*Row{}
	var order []*Row
	for it := s.maps[mapFigures(p)].Iterate(); ; {
		if !it.Next(&key, &value) {
			if err := it.Err(); err != nil {
				return nil, fmt.Errorf("read the figures of %s: %w", name, err)
			}
			break
		}
		id := string(key[:8+8*len(p.keys())])
		r := found[id]
		if r == nil {
			r = newRow(p, key)
			found[id], order = r, append(order, r)
		}
		r.take(key, value)
	}
	rows := make([]Row, len(order))
	for i, r := range order {
		rows[i] = *r
	}
	return rows, nil
}

// Since gives what has come to a row since it was o, which is of the same thread and keys.
func (r Row) Since(o Row) Row {
	r.Count -= o.Count
	if r.Hist != nil && o.Hist != nil {
		r.Hist = r.Hist.Since(o.Hist)
	}
	return r
}

func newRow(p *Probe, key []byte) *Row {
	r := &Row{Thread: int(binary.NativeEndian.Uint32(key))}
	for i := range p.keys() {
		r.Keys = append(r.Keys, binary.NativeEndian.Uint64(key[8+8*i:]))
	}
	if p.distribution() {
		r.Hist = &Hist{}
	}
	return r
}

func (r *Row) take(key, value []byte) {
	n := binary.NativeEndian.Uint64(value)
	r.Count += n
	if r.Hist != nil {
		r.Hist.add(int(binary.NativeEndian.Uint64(key[len(key)-8:])), Bucket{n, binary.NativeEndian.Uint64(value[8:]), binary.NativeEndian.Uint64(value[16:])})
	}
}

// Lost tells what is not in a probe's figures.
type Lost struct {
	// Room: events for which a map had no room.
	Room uint64 `json:"room,omitempty"`
	// Missed: events, of whatever thread, at which the kernel left the programs out because it was in an eBPF program on the same CPU (an interrupt
	// that wakes a thread, say). Kernels before 5.12 do not tell.
	Missed uint64 `json:"missed,omitempty"`
}

// Lost gives that of a probe.
func (s *Session) Lost(name string) (n Lost) {
	for _, l := range s.probes {
		if l.Name != name {
			continue
		}
		_ = s.maps[mapLost(l.Probe)].Lookup(uint32(0), &n.Room)
		for _, p := range l.programs {
			if st, err := p.Stats(); err == nil {
				n.Missed += st.RecursionMisses
			}
		}
	}
	return n
}

// raiseMemlock lifts the limit on locked memory, against which kernels before 5.11 count maps. Where that is not allowed, making a map says so.
func raiseMemlock() {
	_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
}
