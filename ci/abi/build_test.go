package abi

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gozen/benches/guest/abi"
	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// usage is what a process holds.
type usage struct{ goroutines, files, mebibytes int }

func measure(t *testing.T) (u usage) {
	t.Helper()
	u.goroutines = runtime.NumGoroutine()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc/self/fd: what is left behind cannot be seen")
	}
	u.files = len(fds)
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmSize:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	u.mebibytes = kib >> 10
	return u
}

// nothingLeft compares with what was measured before, and gives goroutines that are on their way out a while.
func nothingLeft(t *testing.T, before usage) {
	t.Helper()
	var now usage
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		runtime.GC() // closes files that nobody refers to: those count as left behind, so look first
		if now = measure(t); now.goroutines <= before.goroutines && now.files <= before.files && now.mebibytes < before.mebibytes+512 {
			return
		}
	}
	t.Errorf("left behind: %+v, before %+v", now, before)
}

// tryBuild builds a domain of files and gives it back at once.
func tryBuild(t *testing.T, log *control.ConsoleLog, dir, kernel, ramdisk, cmdline string) error {
	t.Helper()
	m, err := build.New(config.Domain{Name: "hostile", UUID: "12345678-9abc-def0-1122-334455667788", Type: config.PVH, Kernel: kernel, Ramdisk: ramdisk, Cmdline: cmdline,
		MemoryMiB: 256, VCPUs: 2, Engine: config.EngineSoft},
		control.Options{Domid: 1, Dir: dir, ConsoleOut: log, Log: control.NewRing(1 << 12), Began: time.Now(), Warn: func(string) {}})
	if err != nil {
		return err
	}
	m.Destroy()
	<-m.Done()
	return m.Close()
}

// TestBuild_badFiles: a file that is no kernel, or no RAM disk, is an error that names it, and leaves nothing behind.
func TestBuild_badFiles(t *testing.T) {
	dir := t.TempDir()
	log, err := control.NewConsoleLog(filepath.Join(dir, "console.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	good := mustBuild(t, func(p *abi.Prog) {})
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	patch := func(off int, v uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[off:], v)
		return b
	}
	kernel := file("kernel", good)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := file("huge", nil)
	if err := os.Truncate(huge, 1<<40); err != nil {
		t.Fatal(err)
	}
	const ph = 52 // first program header: type, offset, vaddr, paddr, filesz, memsz
	note := bytes.LastIndex(good, []byte("Xen\x00"))
	tests := []struct{ name, kernel, ramdisk, cmdline string }{
		{"no file", filepath.Join(dir, "none"), "", ""},
		{"a folder", dir, "", ""},
		{"a pipe", pipe, "", ""},
		{"an empty file", file("empty", nil), "", ""},
		{"a huge empty file", huge, "", ""},
		{"text", file("text", []byte(strings.Repeat("no kernel\n", 1000))), "", ""},
		{"a cut kernel", file("cut", good[:len(good)/2]), "", ""},
		{"a cut header", file("cuthead", good[:60]), "", ""},
		{"a segment beyond memory", file("far", patch(ph+12, 0x50000000)), "", ""},
		{"a segment larger than the file", file("long", patch(ph+16, 0x7fffffff)), "", ""},
		{"a segment of 4 GiB", file("big", patch(ph+20, 0xffffffff)), "", ""},
		{"a segment shorter in memory", file("short", patch(ph+20, 1)), "", ""},
		{"a segment at 4 GiB", file("wrap", patch(ph+12, 0xfffff000)), "", ""},
		{"an entry outside", file("entry", patch(note+4, 0x00700000)), "", ""},
		{"an entry of another owner", file("owner", patch(note, 0x00757367)), "", ""},
		{"a note of impossible size", file("note", patch(note-8, 0xfffffff0)), "", ""},
		{"gzip of nothing", file("gz", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03rubbish rubbish rubbish")), "", ""},
		{"no RAM disk", kernel, filepath.Join(dir, "none"), ""},
		{"a RAM disk that is a folder", kernel, dir, ""},
		{"a RAM disk that is a pipe", kernel, pipe, ""},
		{"a RAM disk larger than memory", kernel, huge, ""},
		{"a command line too long", kernel, "", strings.Repeat("x", 5000)},
		{"a command line with NUL", kernel, "", "a\x00b"},
	}
	if err := tryBuild(t, log, dir, kernel, "", ""); err != nil { // and warm up
		t.Fatal(err)
	}
	before := measure(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			err := tryBuild(t, log, dir, tc.kernel, tc.ramdisk, tc.cmdline)
			if err == nil {
				t.Fatal("no error")
			}
			want := filepath.Base(tc.kernel)
			if tc.ramdisk != "" {
				want = filepath.Base(tc.ramdisk)
			}
			if tc.cmdline != "" {
				want = "command line"
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not name %s: %v", want, err)
			}
		})
	}
	nothingLeft(t, before)
	t.Run("random", func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			b := bytes.Clone(good)
			for range 1 + rnd.IntN(6) {
				b[rnd.IntN(200)] = byte(rnd.Uint32())
			}
			_ = tryBuild(t, log, dir, file("random", b[:rnd.IntN(len(b))]), "", "")
			_ = tryBuild(t, log, dir, file("random", b), "", "")
		}
	})
	nothingLeft(t, before)
}

// TestBuild_leavesNothing: domains that ran, in every way of ending, leave nothing behind.
func TestBuild_leavesNothing(t *testing.T) {
	guests := [][]byte{mustBuild(t, func(p *abi.Prog) {}), mustBuild(t, func(p *abi.Prog) { p.Ud2() }),
		mustBuild(t, func(p *abi.Prog) { p.Forever(func() {}) }), mustBuild(t, func(p *abi.Prog) { p.Sti(); p.Forever(func() { p.Hlt() }) })}
	round := func() {
		for i, image := range guests {
			for _, det := range []bool{false, true} {
				t.Run("", func(t *testing.T) {
					g := start(t, image, deterministic(det), vcpus(2), memory(256))
					if i >= 2 {
						time.Sleep(time.Millisecond)
						g.m.Destroy()
					}
					g.wait()
				})
			}
		}
	}
	round()
	before := measure(t)
	for range 5 {
		round()
	}
	nothingLeft(t, before)
}
