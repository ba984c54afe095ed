package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"gozen/benches/guest/hello"
	"gozen/benches/guest/initramfs"
	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
	"gozen/hypervisor/control"
)

// patience bounds every wait. A boot on the built-in CPU takes some seconds on a free machine, and others may need it too.
const patience = 3 * time.Minute

// given names the environment variable with the folder of programs that are not to be built, as where there is no Go.
const given = "GOZEN_BIN"

// programs builds bin/ once for all tests.
var programs = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv(given); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "gozen-bin-")
	if err != nil {
		return "", err
	}
	for _, p := range []string{"xl", "hypervisor", "hypervisor/usernet", "perfctl", "ci/demo", "ci/e2e/captured"} {
		c := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "./"+p)
		c.Dir, c.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("go build ./%s: %w\n%s", p, err, out)
		}
	}
	for _, c := range []string{"ls", "read", "write", "list"} {
		if err := os.Symlink("xl", filepath.Join(dir, "xenstore-"+c)); err != nil {
			return dir, err
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := programs(); dir != "" && os.Getenv(given) == "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// host is a run folder and the programs that work in it.
type host struct {
	t        *testing.T
	bin, dir string
	env      []string // beyond the usual
	uid      uint32   // that programs run as; 0: the test's
}

// newHost makes a run folder. Its domains are destroyed at the end of the test.
func newHost(t *testing.T) *host {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "e2e") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, bin: bin, dir: dir}
	t.Cleanup(func() {
		for _, d := range h.list() {
			if d.Domid != 0 {
				_, _ = h.try("xl", "destroy", fmt.Sprint(d.Domid))
			}
		}
		_ = os.RemoveAll(dir)
	})
	return h
}

func (h *host) command(program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(h.t.Context(), filepath.Join(h.bin, program), args...)
	c.Dir = h.dir
	c.Env = append(os.Environ(), "GOZEN_RUN="+filepath.Join(h.dir, "run"), "GOZEN_HYPERVISOR="+filepath.Join(h.bin, "hypervisor"))
	c.Env = append(c.Env, h.env...)
	c.WaitDelay = time.Second
	if h.uid != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: h.uid, Gid: h.uid}}
	}
	return c
}

// try runs a program and gives what it prints on both channels.
func (h *host) try(program string, args ...string) (string, error) {
	c := h.command(program, args...)
	if h.t.Context().Err() != nil { // clean-up: the test's context has ended
		again := exec.Command(c.Path, args...)
		again.Dir, again.Env, again.SysProcAttr = c.Dir, c.Env, c.SysProcAttr
		c = again
	}
	out, err := c.CombinedOutput()
	return string(out), err
}

// run is try for what must succeed; it gives standard output.
func (h *host) run(program string, args ...string) string {
	h.t.Helper()
	c := h.command(program, args...)
	var out, diag bytes.Buffer
	c.Stdout, c.Stderr = &out, &diag
	if err := c.Run(); err != nil {
		h.t.Fatalf("%s %q: %v\n%s%s", program, args, err, out.String(), diag.String())
	}
	return out.String()
}

// list gives the domains by xl list -o json.
func (h *host) list() (all []control.Info) {
	c := exec.Command(filepath.Join(h.bin, "xl"), "list", "-o", "json")
	as := h.command("xl")
	c.Env, c.SysProcAttr = as.Env, as.SysProcAttr
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil {
		h.t.Errorf("xl list -o json: %v\n%s", err, out)
	}
	return all
}

// domain gives one of them, and whether it is there.
func (h *host) domain(name string) (control.Info, bool) {
	for _, d := range h.list() {
		if d.Name == name {
			return d, true
		}
	}
	return control.Info{}, false
}

// eventually polls until ok.
func (h *host) eventually(what string, ok func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	h.t.Fatalf("not within %v: %s", patience, what)
}

// write puts a file into the host's folder and gives its path.
func (h *host) write(name string, content []byte) string {
	h.t.Helper()
	p := filepath.Join(h.dir, name)
	if err := os.WriteFile(p, content, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// config writes an xl.cfg file.
func (h *host) config(name, text string) string {
	return h.write(name+".cfg", fmt.Appendf(nil, "name = %q\ntype = \"pvh\"\nengine = \"soft\"\n%s", name, text))
}

// hello writes the configuration of the small guest that waits for its shutdown.
func (h *host) hello(name, more string) string {
	h.t.Helper()
	img, err := hello.Image()
	if err != nil {
		h.t.Fatal(err)
	}
	return h.config(name, fmt.Sprintf("kernel = %q\nmemory = 64\n%s", h.write("hello.elf", img), more))
}

// debian writes the configuration of a stock kernel with an init script, or skips the test.
func (h *host) debian(name, kernel, script, more string) string {
	h.t.Helper()
	return h.debianWith(name, kernel, kernels.Busybox, "console=hvc0", script, "memory = 512\n"+more)
}

// debianWith is debian with another busybox and command line; more has the memory.
func (h *host) debianWith(name, kernel, busybox, cmdline, script, more string) string {
	h.t.Helper()
	if testing.Short() {
		h.t.Skip("boots a Debian kernel: not with -short")
	}
	disk, err := linux.Initramfs(guestFile(h.t, busybox), script)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.config(name, fmt.Sprintf("kernel = %q\nramdisk = %q\ncmdline = %q\n%s", guestFile(h.t, kernel), h.write("initramfs", disk), cmdline, more))
}

// debianModules is debian with modules of the kernel's package, and those that they need, loaded before script goes on; script is without its first line.
func (h *host) debianModules(name, kernel string, modules []string, script, more string) string {
	h.t.Helper()
	if testing.Short() {
		h.t.Skip("boots a Debian kernel: not with -short")
	}
	guestFile(h.t, kernel) // skips the test where there are none
	paths, err := kernels.FetchModules(h.t.Output(), kernel, modules...)
	if err != nil && os.Getenv("GOZEN_REQUIRE_KERNELS") == "1" {
		h.t.Fatal(err)
	} else if err != nil {
		h.t.Skip(err)
	}
	var a initramfs.Archive
	a.Dir("/modules", 0o755)
	load := "#!/bin/sh\n"
	for _, p := range paths {
		a.HostFile("/modules/"+filepath.Base(p), 0o644, p)
		load += "/bin/busybox insmod /modules/" + filepath.Base(p) + "\n"
	}
	second, err := a.Bytes()
	if err != nil {
		h.t.Fatal(err)
	}
	disk, err := linux.Initramfs(guestFile(h.t, kernels.Busybox), load+script)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.config(name, fmt.Sprintf("kernel = %q\nramdisk = %q\ncmdline = \"console=hvc0\"\nmemory = 512\n%s", guestFile(h.t, kernel),
		h.write("initramfs", append(disk, second...)), more)) // the kernel unpacks one archive after the other
}

func guestFile(t *testing.T, name string) string {
	t.Helper()
	f, err := kernels.Open()
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Find(name)
	if err != nil && os.Getenv("GOZEN_REQUIRE_KERNELS") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return p
}

// console is a running xl create -c: what it has printed so far, and its end.
type console struct {
	h     *host
	ended chan struct{}
	err   error // once ended

	mu   sync.Mutex
	text []byte
	seen int // how much expect has used up
}

// create starts a domain and follows its console.
func (h *host) create(cfg string, settings ...string) *console {
	h.t.Helper()
	c := &console{h: h, ended: make(chan struct{})}
	cmd := h.command("xl", append([]string{"create", "-c", cfg}, settings...)...)
	cmd.Stdout, cmd.Stderr = c, c
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() { c.err = cmd.Wait(); close(c.ended) }()
	return c
}

// Write implements io.Writer.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, p...)
	return len(p), nil
}

// match looks for the pattern behind what earlier calls found.
func (c *console) match(re *regexp.Regexp) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := re.FindSubmatchIndex(c.text[c.seen:])
	if at == nil {
		return nil
	}
	var groups []string
	for i := 0; i < len(at); i += 2 {
		groups = append(groups, string(c.text[c.seen+at[i]:c.seen+at[i+1]]))
	}
	c.seen += at[1]
	return groups
}

// expect waits for the pattern on the console and gives its groups.
func (c *console) expect(pattern string) []string {
	c.h.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		over, began := c.over(), time.Now()
		if g := c.match(re); g != nil {
			return g
		}
		if over {
			break
		}
		time.Sleep(max(20*time.Millisecond, 10*time.Since(began))) // the guest may have the same processor
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.h.t.Fatalf("the console never showed %q; it ends with:\n%s", pattern, c.text[max(0, len(c.text)-2000):])
	return nil
}

func (c *console) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// end waits until xl create is over, which must be without an error.
func (c *console) end() {
	c.h.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.h.t.Fatal("xl create -c does not end")
	}
	if c.err != nil {
		c.h.t.Errorf("xl create -c: %v", c.err)
	}
}
