package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/linux"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/process"
)

// patience bounds each wait for a guest, in the time of the emulated host.
const patience = 30 * time.Second

// A guest is one that was started.
type guest struct {
	pid int
	dir string // gozen's run folder, or ""
	// wait returns what the guest has said once text is in it. It gives each line to line, if not nil, as it comes.
	wait func(text string, line func(string)) (said string, err error)
	stop func()
	said func() string
}

// greeted returns when the guest's init has spoken.
func (g *guest) greeted() error {
	_, err := g.wait(linux.Greeting, nil)
	return err
}

var errSilent = fmt.Errorf("the guest did not say what was waited for within %v", patience)

// typeOf gives the type of the domain whose figures have a name: gozen-pv and gozen-hvm are of those types, others PVH.
func typeOf(name string) config.Type {
	for _, t := range []config.Type{config.PV, config.HVM} {
		if strings.HasSuffix(name, "-"+string(t)) {
			return t
		}
	}
	return config.PVH
}

// startGozen starts a domain process as xl does.
func startGozen(name, kernel, initrd string, mode config.TSCMode, more ...func(*config.Domain)) (*guest, error) {
	program, err := process.FindBinary()
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "run")
	if err != nil {
		return nil, err
	}
	cfg := config.Domain{Name: "bench", Type: typeOf(name), Kernel: kernel, Ramdisk: initrd, Cmdline: "console=hvc0 quiet", MemoryMiB: 512,
		VCPUs: 1, Engine: config.EngineKVM, OnPoweroff: config.Preserve, TSCMode: mode}
	for _, f := range more {
		f(&cfg)
	}
	cfg.Complete()
	st, err := process.Launch(program, process.Request{Config: cfg, Root: root, Began: time.Now()},
		func(s string) { fmt.Fprintln(os.Stderr, s) })
	if err != nil {
		return nil, err
	}
	log := filepath.Join(st.Dir, control.ConsoleLogName)
	said := func() string { b, _ := os.ReadFile(log); return string(b) }
	return &guest{pid: st.PID, dir: st.Dir, said: said, stop: func() { end(st.PID); _ = os.RemoveAll(root) },
		wait: func(text string, line func(string)) (string, error) { return follow(log, text, line) }}, nil
}

// end ends a domain process, in any case.
func end(pid int) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		_ = unix.Kill(pid, sig)
		for range 100 {
			if unix.Kill(pid, 0) != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// follow waits until a text stands in a file that grows.
func follow(path, text string, line func(string)) (string, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		return "", err
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	var events [4096]byte
	seen := 0
	for end := time.Now().Add(patience); time.Now().Before(end); {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		for n := bytes.IndexByte(b[seen:], '\n'); n >= 0; n = bytes.IndexByte(b[seen:], '\n') {
			if line != nil {
				line(string(b[seen : seen+n]))
			}
			seen += n + 1
		}
		if strings.Contains(string(b), text) {
			return string(b), nil
		}
		if n, _ := unix.Poll(poll, 1000); n > 0 {
			_, _ = unix.Read(fd, events[:])
		}
	}
	return "", errSilent
}

// startOther starts another VMM.
func startOther(command []string) (*guest, error) {
	c := exec.Command(command[0], command[1:]...)
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var text strings.Builder
	said := func() string { mu.Lock(); defer mu.Unlock(); return text.String() }
	lines := make(chan string)
	go func() {
		defer close(lines)
		for r := bufio.NewReader(out); ; {
			l, err := r.ReadString('\n')
			mu.Lock()
			text.WriteString(l)
			mu.Unlock()
			if err != nil {
				return
			}
			lines <- l
		}
	}()
	wait := func(want string, line func(string)) (string, error) {
		for late := time.After(patience); ; {
			select {
			case l, ok := <-lines:
				if line != nil {
					line(l)
				}
				if strings.Contains(l, want) {
					return said(), nil
				}
				if !ok {
					return "", errors.New(command[0] + " ended before that")
				}
			case <-late:
				return "", errSilent
			}
		}
	}
	return &guest{pid: c.Process.Pid, wait: wait, said: said, stop: func() { _ = c.Process.Kill(); _ = c.Wait() }}, nil
}
