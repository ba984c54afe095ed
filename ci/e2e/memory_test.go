package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gozen/hypervisor/guestmem"
)

// TestMemoryBacking runs the small guest on each backing.
func TestMemoryBacking(t *testing.T) {
	for _, tt := range []struct{ name, keys, words string }{
		{"anon", "", "anonymous, private, taken when touched"},
		{"prealloc", "memory_prealloc = 1\n", "anonymous, private, taken at the start"},
		{"hugetlb", "memory_backing = \"hugetlb\"\n", "hugetlb: 2 MiB pages, taken at the start; what the guest gives up stays with the domain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "hugetlb" {
				if _, free, err := guestmem.Pool(); err != nil || free < 32 {
					t.Skip("needs 32 free huge pages of 2 MiB")
				}
			}
			h := newHost(t)
			c := h.create(h.hello("m", tt.keys))
			c.expect("waiting for: xl shutdown")
			if out := h.run("xl", "list", "-l", "m"); !strings.Contains(out, `"memory": "`+tt.words+`"`) {
				t.Errorf("xl list -l lacks %q:\n%s", tt.words, out)
			}
			d, _ := h.domain("m")
			t.Logf("%d KiB resident, %d KiB beyond the guest's memory", d.RSSKiB, d.OverheadKiB)
			if guest := d.RSSKiB - d.OverheadKiB; tt.name == "prealloc" && guest < 64<<10 {
				t.Errorf("%d KiB of the guest's 64 MiB are there", guest)
			}
			h.run("xl", "shutdown", "-w", "m")
			c.end()
		})
	}
}

// TestMemoryBacking_emptyPool says what to do.
func TestMemoryBacking_emptyPool(t *testing.T) {
	all, free, err := guestmem.Pool()
	if err != nil {
		t.Skip("needs a kernel with huge pages of 2 MiB")
	}
	need := free + 100
	h := newHost(t)
	cfg := h.hello("m", "memory_backing = \"hugetlb\"\n")
	out, err := h.try("xl", "create", "-q", cfg, fmt.Sprintf("memory=%d", 2*need))
	want := fmt.Sprintf(`can't allocate %d MiB of memory for domain "m"
  where: %s:6 (memory_backing)
  why:   it takes %d huge pages of 2 MiB, and the host has %d that are free
  do:    echo %d > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages, or memory_backing="anon"
xl: domain "m" was not created; nothing of it is left
`, 2*need, cfg, need, free, all+100)
	if err == nil || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// TestMemory_hostTooSmall asks for more than there is.
func TestMemory_hostTooSmall(t *testing.T) {
	h := newHost(t)
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	var total uint64
	if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &total); err != nil {
		t.Fatal(err)
	}
	out, err := h.try("xl", "create", "-q", h.hello("m", "memory_prealloc = 1\n"), fmt.Sprintf("memory=%d", total>>10))
	if err == nil || !strings.HasPrefix(out, fmt.Sprintf("can't allocate %d MiB of memory for domain \"m\"\n", total>>10)) || !strings.Contains(out, "  why:   this host has ") ||
		!strings.Contains(out, " MiB left\n  do:    give the domain less memory, free some of the host's, or leave memory_prealloc out\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// limited makes a cgroup with a limit on memory, or skips, and gives the file that takes processes into it.
func limited(t *testing.T, limit int) string {
	t.Helper()
	for _, v := range []struct{ root, file string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		dir, err := os.MkdirTemp(v.root, "gozen-e2e-")
		if err != nil {
			continue
		}
		t.Cleanup(func() {
			for range 50 { // its processes may need a moment to end
				if os.Remove(dir) == nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		if os.WriteFile(filepath.Join(dir, v.file), []byte(strconv.Itoa(limit)), 0) == nil {
			return filepath.Join(dir, "cgroup.procs")
		}
	}
	t.Skip("needs a cgroup with a limit on memory")
	return ""
}

// TestMemory_cgroupTooSmall takes more memory at the start than the process's cgroup allows: the kernel kills it.
func TestMemory_cgroupTooSmall(t *testing.T) {
	procs := limited(t, 200<<20)
	h := newHost(t)
	cfg := h.hello("m", "memory_prealloc = 1\n")
	c := h.command("xl")
	sh := exec.Command("sh", "-ec", "echo $$ > "+procs+"\nexec "+c.Path+" create -q "+cfg+" memory=512")
	sh.Env, sh.Dir = c.Env, h.dir
	out, err := sh.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the domain process ended before the domain was built\n  why:   signal: killed: the kernel does that where the host, or a cgroup, is out of memory (see dmesg)\n"+
		"  do:    give the domain less memory, or free some; leave memory_prealloc out") || !strings.Contains(string(out), "nothing of it is left") {
		t.Errorf("%v\n%s", err, out)
	}
	if len(h.list()) != 1 {
		t.Error("a domain is left")
	}
}

// TestMemory_addressSpaceLimited has a limit of the process (ulimit -v) refuse the guest's memory.
func TestMemory_addressSpaceLimited(t *testing.T) {
	h := newHost(t)
	cfg := h.hello("m", "")
	c := h.command("xl")
	sh := exec.Command("sh", "-ec", "ulimit -v 4000000\nexec "+c.Path+" create -q "+cfg+" memory=8192")
	sh.Env, sh.Dir = c.Env, h.dir
	out, err := sh.CombinedOutput()
	want := `can't allocate 8192 MiB of memory for domain "m"
  where: command line:1 (memory)
  why:   map 4032 MiB of guest memory: the host is out of memory, or a limit is reached (cannot allocate memory)
  do:    give the domain less memory, or free some of the host's; limits of the process (ulimit -v) and of its cgroup count, too
xl: domain "m" was not created; nothing of it is left
`
	if strings.Contains(string(out), " MiB in all") {
		t.Skip("needs a host with more than 8 GiB")
	}
	if err == nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}
