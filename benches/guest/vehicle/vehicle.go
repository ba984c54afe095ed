package vehicle

import (
	"debug/elf"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/initramfs"
	"gozen/benches/guest/modules"
)

// Where the RAM disk has the modules, and the list of them in the order in which they are loaded.
const (
	modulesDir  = "/modules"
	modulesList = modulesDir + "/order"
)

// Initramfs makes a RAM disk whose /init is the static program at a path. Modules are loaded in their order.
func Initramfs(program string, mods []modules.Module) ([]byte, error) {
	if err := static(program); err != nil {
		return nil, err
	}
	var a initramfs.Archive
	a.HostFile("/init", 0o755, program)
	a.Device("/dev/console", 0o600, 5, 1)
	a.Device("/dev/null", 0o666, 1, 3)
	a.Dir("/sys", 0o755)
	order := ""
	for _, m := range mods {
		a.File(modulesDir+"/"+m.Name, 0o644, m.Content)
		order += m.Name + "\n"
	}
	a.File(modulesList, 0o644, []byte(order))
	return a.Bytes()
}

// static refuses a program that needs libraries: the guest has none.
func static(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not a static program, as the guest needs: build it with CGO_ENABLED=0 (make build does)", program)
		}
	}
	return nil
}

// Wanted tells whether this process is the first of a guest that Cmdline started.
func Wanted() bool { return os.Getpid() == 1 && os.Getenv(envNames) != "" }

// Main measures, and powers the guest off.
func Main() {
	g := &guest{Spec: fromEnvironment(os.Getenv), out: os.Stdout, in: os.Stdin}
	g.prepare()
	g.run()
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	for {
		time.Sleep(time.Hour)
	}
}
