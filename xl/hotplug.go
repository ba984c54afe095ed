package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/process"
)

// hotplugTime is how long a script may take, as in libxl.
const hotplugTime = 40 * time.Second

// hotplugWatch is the subcommand, not for people, of the process that runs a script when a network device, or its domain, has gone.
const hotplugWatch = "hotplug-watch"

// hotplug is a network device whose interface a script of the host sets up (script= in xl-network-configuration(5)).
type hotplug struct {
	root  string // run folder of all domains
	domid int
	nic   config.NIC
	iface string // of the host
}

// back is the device's folder of the back end, as scripts get it: below Domain-0's own.
func (h hotplug) back() string { return fmt.Sprintf("backend/vif/%d/%d", h.domid, h.nic.ID) }

// newHotplug asks a domain what its device is on.
func newHotplug(ctx context.Context, root string, c *control.Client, domid int, n config.NIC) (hotplug, error) {
	h := hotplug{root: root, domid: domid, nic: n}
	b, err := c.StoreRead(ctx, "/local/domain/0/"+h.back()+"/vifname")
	h.iface = string(b)
	return h, err
}

// run runs the script: online when the device has come, offline when it has gone. It finds the arguments and variables that libxl gives (libxl_linux.c), and our xenstore
// commands first in its PATH.
func (h hotplug) run(action string) error {
	ctx, cancel := context.WithTimeout(context.Background(), hotplugTime)
	defer cancel()
	c := exec.CommandContext(ctx, h.nic.Script, action, "type_if=vif")
	c.Dir, c.WaitDelay = "/", time.Second
	c.Env = append(os.Environ(), control.RootEnv+"="+h.root, "script="+h.nic.Script, "XENBUS_TYPE=vif", "XENBUS_PATH="+h.back(), "XENBUS_BASE_PATH=backend", "vif="+h.iface)
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			c.Env = append(c.Env, "PATH="+filepath.Dir(real)+":"+os.Getenv("PATH"))
		}
	}
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("it took longer than %v", hotplugTime)
	}
	if err == nil {
		return nil
	}
	why := err.Error()
	if text := bytes.TrimSpace(out); len(text) > 0 {
		why += ": " + string(text[max(0, len(text)-500):])
	}
	return &config.Error{Field: "vif", What: fmt.Sprintf("script %s %s failed for network device %d of domain %d", h.nic.Script, action, h.nic.ID, h.domid), Why: why,
		Fix: "try it by hand, as root, with vif=" + h.iface + " XENBUS_PATH=" + h.back() + "; without script= the device joins its bridge by itself"}
}

// watch starts the process that runs the script when the device goes.
func (h hotplug) watch() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(self, hotplugWatch, strconv.Itoa(h.domid), strconv.Itoa(h.nic.ID))
	c.Dir, c.Env = "/", append(os.Environ(), control.RootEnv+"="+h.root)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	ready, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	b := make([]byte, 1)
	_, _ = ready.Read(b) // it watches, or has ended
	return c.Process.Release()
}

// plugIn runs the scripts of a domain's devices, and sees to their end.
func (a *app) plugIn(root string, domid int, dir string, nics []config.NIC) error {
	c := control.NewClient(dir)
	defer c.Close()
	for _, n := range nics {
		if n.Script == "" {
			continue
		}
		h, err := newHotplug(context.Background(), root, c, domid, n)
		if err == nil {
			err = h.watch()
		}
		if err == nil {
			err = h.run("online")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scripted says that there is a device with a script.
func scripted(nics []config.NIC) bool {
	return slices.ContainsFunc(nics, func(n config.NIC) bool { return n.Script != "" })
}

// launchScripted is process.Launch for a domain whose devices have scripts: it starts when they have run, unless it is to stay paused. If one fails nothing is left.
func (a *app) launchScripted(program string, req process.Request, note func(string)) (process.Started, error) {
	paused := req.Paused
	req.Paused = true
	st, err := process.Launch(program, req, note)
	if err != nil {
		return st, err
	}
	c := control.NewClient(st.Dir)
	defer c.Close()
	if err = a.plugIn(req.Root, st.Domid, st.Dir, req.Config.NICs); err == nil && !paused {
		err = c.Unpause(context.Background())
	}
	if err != nil {
		_ = c.Destroy(context.Background())
	}
	return st, err
}

// hotplugWatch follows a device through the restarts of its domain, and runs its script when it goes and when it comes again. What fails is told in the domain's log
// folder.
func (a *app) hotplugWatch(args []string) int {
	if len(args) != 2 {
		fmt.Fprintf(a.err, "Usage: xl %s <domid> <devid>; xl create starts this, it is not for people\n", hotplugWatch)
		return exitUsage
	}
	devid, err := strconv.Atoi(args[1])
	if err != nil {
		return exitUsage
	}
	r, err := a.registry()
	if err != nil {
		return exitFail
	}
	f, err := r.Find(args[0])
	if err != nil {
		return exitFail
	}
	complain := func(err error) {
		l, e := os.OpenFile(filepath.Join(r.LogDir(), "hotplug-"+f.Name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if e != nil {
			return
		}
		defer l.Close()
		for _, e := range config.Errors(err) {
			fmt.Fprintf(l, "%s %s: %s\n", time.Now().Format(time.DateTime), e.What, e.Why)
		}
	}
	for dir, domid := f.Dir, f.Domid; ; {
		h, next := a.untilGone(r.Root(), dir, domid, devid)
		if h.domid == 0 {
			return exitOK
		}
		if err := h.run("offline"); err != nil {
			complain(err)
		}
		if next == 0 {
			return exitOK
		}
		dir, domid = filepath.Join(filepath.Dir(dir), strconv.Itoa(next)), next
		h.domid = next
		if err := h.run("online"); err != nil {
			complain(err)
		}
	}
}

// untilGone waits for the end of a device, or of its domain: then next is the domain that takes its place with the device in it, if there is one. The hotplug is zero
// where there is no such device.
func (a *app) untilGone(root, dir string, domid, devid int) (h hotplug, next int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := control.NewClient(dir)
	defer c.Close()
	await, err := c.BeginWait(ctx, control.UntilOutcome)
	if err != nil {
		return hotplug{}, 0
	}
	cfg, err := c.Config(ctx)
	at := slices.IndexFunc(cfg.NICs, func(n config.NIC) bool { return n.ID == devid })
	if err != nil || at < 0 {
		return hotplug{}, 0
	}
	if h, err = newHotplug(ctx, root, c, domid, cfg.NICs[at]); err != nil {
		return hotplug{}, 0
	}
	_, _ = fmt.Fprint(a.out, ".") // whoever has started this waits for it
	if f, ok := a.out.(*os.File); ok {
		_ = f.Close()
	}
	gone := make(chan struct{})
	go func() {
		state := "/local/domain/0/" + h.back() + "/state"
		_ = c.StoreWatch(ctx, state, func(string) {
			if _, err := c.StoreRead(ctx, state); errors.Is(err, syscall.ENOENT) {
				select {
				case <-gone:
				default:
					close(gone)
				}
			}
		})
	}()
	ended := make(chan control.Ended, 1)
	go func() {
		e, _ := await()
		ended <- e
	}()
	select {
	case <-gone:
	case e := <-ended:
		next = e.Successor
	}
	return h, next
}
