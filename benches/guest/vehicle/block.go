package vehicle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Sizes in bytes, and how many requests are under way at once in the workloads that have several.
const (
	BlockSize = 4096
	large     = 1 << 20
	deepest   = 32
)

// Stamp marks the blocks of a piece of a disk that begins at a block: each begins with its number, so that a block in the wrong place is seen.
func Stamp(b []byte, block int64) {
	for ; len(b) >= BlockSize; block, b = block+1, b[BlockSize:] {
		binary.LittleEndian.PutUint64(b, uint64(block))
	}
}

// stamped checks a block.
func stamped(b []byte, block int64) error {
	if n := binary.LittleEndian.Uint64(b); n != uint64(block) {
		return fmt.Errorf("block %d has the content of block %d", block, n)
	}
	return nil
}

// disk is the guest's disk, open for one workload.
type disk struct {
	fd     int
	memory []byte // of every request under way
	blocks int64
	next   int64 // block of the next sequential request
	seed   uint32
	aio    *aio
}

// openDisk waits for the disk and opens it past the page cache.
func (g *guest) openDisk() (*disk, error) {
	if g.Disk == "" {
		return nil, errors.New("there is no disk in this guest")
	}
	path, queue := "/dev/"+g.Disk, "/sys/block/"+g.Disk
	if err := g.await(path, "disk "+g.Disk); err != nil {
		return nil, err
	}
	_ = os.WriteFile(queue+"/queue/scheduler", []byte("none"), 0)
	size, err := os.ReadFile(queue + "/size")
	if err != nil {
		return nil, err
	}
	d := &disk{blocks: int64(number(strings.TrimSpace(string(size)))) * 512 / BlockSize, seed: 1}
	if d.blocks < large/BlockSize {
		return nil, fmt.Errorf("%s has %d blocks only", path, d.blocks)
	}
	if d.fd, err = unix.Open(path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if d.memory, err = unix.Mmap(-1, 0, large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE); err == nil {
		d.aio, err = newAIO(deepest)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *disk) close() {
	if d.aio != nil {
		d.aio.close()
	}
	if d.memory != nil {
		_ = unix.Munmap(d.memory)
	}
	_ = unix.Close(d.fd)
}

// anywhere gives a block, the same ones in each run.
func (d *disk) anywhere() int64 {
	d.seed = d.seed*1664525 + 1013904223
	return int64(d.seed>>8) % d.blocks
}

// onDisk makes a workload of what is done n times with the disk.
func onDisk(do func(d *disk, n int) error) func(*guest) (func(int) error, func(), error) {
	return func(g *guest) (func(int) error, func(), error) {
		d, err := g.openDisk()
		if err != nil {
			return nil, nil, err
		}
		return func(n int) error { return do(d, n) }, d.close, nil
	}
}

func readBlocks(d *disk, n int) error {
	b := d.memory[:BlockSize]
	for range n {
		at := d.anywhere()
		if err := transfer(unix.SYS_PREAD64, d.fd, b, at*BlockSize); err != nil {
			return fmt.Errorf("read block %d: %w", at, err)
		}
		if err := stamped(b, at); err != nil {
			return err
		}
	}
	return nil
}

func writeBlocks(d *disk, n int) error {
	b := d.memory[:BlockSize]
	for range n {
		at := d.anywhere()
		Stamp(b, at)
		if err := transfer(unix.SYS_PWRITE64, d.fd, b, at*BlockSize); err != nil {
			return fmt.Errorf("write block %d: %w", at, err)
		}
	}
	return nil
}

// sequence gives where the next MiB is.
func (d *disk) sequence() int64 {
	const step = large / BlockSize
	if d.next+step > d.blocks {
		d.next = 0
	}
	at := d.next
	d.next += step
	return at
}

func readLarge(d *disk, n int) error {
	for range n {
		at := d.sequence()
		if err := transfer(unix.SYS_PREAD64, d.fd, d.memory, at*BlockSize); err != nil {
			return fmt.Errorf("read a MiB at block %d: %w", at, err)
		}
		const last = large - BlockSize
		if err := errors.Join(stamped(d.memory, at), stamped(d.memory[last:], at+last/BlockSize)); err != nil {
			return err
		}
	}
	return nil
}

func writeLarge(d *disk, n int) error {
	for range n {
		at := d.sequence()
		Stamp(d.memory, at)
		if err := transfer(unix.SYS_PWRITE64, d.fd, d.memory, at*BlockSize); err != nil {
			return fmt.Errorf("write a MiB at block %d: %w", at, err)
		}
	}
	return nil
}

// deep keeps requests for single blocks under way, and begins new ones for all that have come back together.
func deep(write bool) func(d *disk, n int) error {
	return func(d *disk, n int) error {
		ready := make([]int, 0, deepest) // requests that are not under way
		for i := range deepest {
			ready = append(ready, i)
		}
		begun := 0
		for ended := 0; ended < n; {
			go1 := ready[:min(len(ready), n-begun)]
			for _, i := range go1 {
				at := d.anywhere()
				b := d.memory[i*BlockSize:][:BlockSize]
				if write {
					Stamp(b, at)
				}
				d.aio.set(i, d.fd, write, b, at*BlockSize)
			}
			if err := d.aio.submit(go1); err != nil {
				return err
			}
			begun += len(go1)
			var err error
			if ready, err = d.aio.await(ready[:0]); err != nil {
				return err
			}
			for _, i := range ready {
				if err := stamped(d.memory[i*BlockSize:], d.aio.offset(i)/BlockSize); err != nil {
					return err
				}
			}
			ended += len(ready)
		}
		return nil
	}
}
