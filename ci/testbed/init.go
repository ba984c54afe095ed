package testbed

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// initScript is the first process of the emulated host. What follows it loads the modules and runs the jobs. PORT carries the stream; NONCE, new
// for each run, keeps anything that a job prints from being taken for a mark.
const initScript = `#!/bin/busybox sh
export PATH=/usr/local/bin:/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM=dumb
/bin/busybox --install -s /bin
m() { mkdir -p "$3" && mount -t "$1" "$2" "$3" 2>/dev/null || echo "init: no $1 on $3"; }
m devtmpfs dev /dev
m proc proc /proc
m sysfs sys /sys
m tmpfs tmp /tmp
m tmpfs run /run
m tmpfs shm /dev/shm
m devpts pts /dev/pts
m cgroup2 cgroup /sys/fs/cgroup
m securityfs security /sys/kernel/security
m debugfs debug /sys/kernel/debug
m tracefs tracing /sys/kernel/tracing
mkdir -p /out /root /var/tmp /etc
echo root:x:0:0:root:/root:/bin/sh > /etc/passwd
echo root:x:0: > /etc/group
ip link set lo up
DATE
stty -F PORT 115200 raw -echo || echo "init: no PORT"
exec 3> PORT
mark() { printf '\n@@NONCE %s\n' "$*" >&3; }
over() { mark over; while :; do sleep 1000; done; } # the emulator is ended from outside once the mark has come: what is on the way is not lost
fail() { echo "init: $*"; mark fail "$*"; over; }
load() { e=$(insmod "$1" 2>&1) || fail "module ${1##*/} does not load: $e; the kernel last said: $(dmesg | tail -n 1)"; }
reap() { # kills what a job has left: all but this script, kernel threads, and what writes to PORT
	for d in /proc/[0-9]*; do
		p=${d#/proc/}
		[ "$p" != 1 ] && readlink $d/exe >/dev/null && [ "$(readlink $d/fd/1)" != PORT ] && kill -9 "$p" 2>/dev/null
	done
}
idle() { # waits until the job's output is read up
	n=20
	while [ ! -e /run/job/read ] && [ "$n" -gt 0 ]; do sleep 0.1; n=$((n-1)); done
	[ -e /run/job/read ]
}
job() {
	rm -rf /run/job && mkdir -p /run/job "/out/$1" && mkfifo /run/job/pipe
	mark begin "$1"
	(cat; : > /run/job/read) < /run/job/pipe >&3 &
	(cd /root && OUT="/out/$1" exec sh "/jobs/$1") > /run/job/pipe 2>&1 < /dev/null 3>&- &
	wait $!
	status=$?
	idle || { reap; idle; }
	reap
	mark end "$1" "$status"
}
files() {
	rmdir /out/* 2>/dev/null
	[ -z "$(ls /out)" ] && return
	tar -c -C /out . | gzip > /run/out || fail "the files in /out cannot be packed"
	mark files "$(wc -c < /run/out)" "$(sha256sum < /run/out)"
	base64 < /run/out >&3
	mark filed
}
`

// anchorPath is where the program that keeps virtual machines alive lies inside.
const anchorPath = "/sbin/anchor"

// script gives the init script; modules are paths inside.
func (s Spec) script(nonce string, modules []string) string {
	var b strings.Builder
	b.WriteString(strings.NewReplacer("PORT", s.port(), "NONCE", nonce, "DATE", s.date()).Replace(initScript))
	for _, m := range modules {
		fmt.Fprintf(&b, "load %s\n", quote(m))
	}
	b.WriteString("[ -e /dev/kvm ] || mknod /dev/kvm c 10 232\n")
	if s.Kind != VHE {
		b.WriteString(anchorPath + " >&3 &\nsleep 0.2\n") // its output goes where reap spares it
		b.WriteString("for c in /sys/devices/system/cpu/cpu[1-9]*/online; do [ -e $c ] && echo 1 > $c; done\n")
	}
	b.WriteString("mark ready\n")
	for _, j := range s.Jobs {
		fmt.Fprintf(&b, "job %s\n", quote(j.Name))
	}
	b.WriteString("files\nover\n")
	return b.String()
}

// date gives the command that sets the clock: the arm64 host has no driver for its own.
func (s Spec) date() string {
	switch {
	case s.Kind != VHE:
		return ":"
	case s.ICount:
		return "date -s @1767225600 >/dev/null"
	}
	return fmt.Sprintf("date -s @%d >/dev/null", time.Now().Unix())
}

// quote makes one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// modulePath gives where a module lies inside.
func modulePath(outside string) string { return "/modules/" + path.Base(outside) }
