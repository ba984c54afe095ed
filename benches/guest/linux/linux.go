package linux

import (
	"gozen/benches/guest/initramfs"
)

// Greeting is what the scripts of this package print first, at the start of a line: the guest's user space runs.
const Greeting = "Hello from "

// head makes the usual file systems; it runs in the guest's first process.
const head = `#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
`

// Greeter greets, says what it finds of Xen, and then waits until it is shut down.
const Greeter = head + `echo
echo "` + Greeting + `kernel $(uname -r) on gozen"
read up idle < /proc/uptime
echo "  uptime   $up seconds, $(grep -c ^processor /proc/cpuinfo) vCPU, $(grep MemTotal /proc/meminfo | tr -s ' ' | cut -d' ' -f2) KiB"
for f in type version/major version/minor version/extra uuid; do
	[ -r /sys/hypervisor/$f ] && echo "  /sys/hypervisor/$f = $(cat /sys/hypervisor/$f)"
done
for f in /sys/devices/system/clocksource/clocksource0/current_clocksource; do
	[ -r $f ] && echo "  clock source = $(cat $f)"
done
echo "  waiting for: xl shutdown"
while :; do sleep 86400; done
`

// PowerOff greets and ends the guest at once.
const PowerOff = "#!/bin/sh\necho '" + Greeting + "init'\nexec poweroff -f\n"

// Initramfs makes an initial RAM disk with the static busybox at the host path busybox and the given init script.
func Initramfs(busybox, init string) ([]byte, error) {
	var a initramfs.Archive
	a.File("/init", 0o755, []byte(init))
	a.HostFile("/bin/busybox", 0o755, busybox)
	for _, applet := range []string{"sh", "cat", "cut", "dmesg", "echo", "grep", "ls", "mount", "poweroff", "reboot", "sleep", "tr", "uname", "yes"} {
		a.Symlink("/bin/"+applet, "busybox")
	}
	// Not busybox's own: without -f they would send a signal to the init script.
	a.File("/sbin/poweroff", 0o755, []byte("#!/bin/sh\nexec /bin/poweroff -f\n"))
	a.File("/sbin/reboot", 0o755, []byte("#!/bin/sh\nexec /bin/reboot -f\n"))
	for _, d := range []string{"/proc", "/sys", "/dev", "/root", "/tmp"} {
		a.Dir(d, 0o755)
	}
	a.Device("/dev/console", 0o600, 5, 1)
	return a.Bytes()
}
