package e2e

import (
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the user that tests without rights run as.
const nobody = 65534

// unprivileged has the host's programs run as a user without rights, if they do not anyway. All files that they need are in the host's folder by then.
func (h *host) unprivileged() {
	h.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(h.dir, func(p string, _ fs.DirEntry, err error) error { return errors.Join(err, os.Lchown(p, nobody, nobody)) })
	if err = errors.Join(err, os.Chmod(h.bin, 0o755)); err != nil {
		h.t.Fatal(err)
	}
	h.uid = nobody
}

// usernetScript is a guest that takes what DHCP gives it and uses it: names, streams both ways, and another device that comes and goes.
const usernetScript = `mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
b=/bin/busybox
$b mkdir -p /etc /tmp
cat > /lease <<'X'
#!/bin/sh
b=/bin/busybox
[ "$1" = bound ] || exit 0
$b ip addr add $ip/$mask dev $interface
$b ip route add default via $router
echo "nameserver $dns" > /etc/resolv.conf
echo "lease $interface $ip/$mask $router $dns"
X
$b chmod 755 /lease
lease() {
	until [ -d /sys/class/net/$1 ]; do sleep 0.1; done
	$b ip link set $1 up
	$b udhcpc -q -i $1 -s /lease 2> /dev/null
}
lease eth0
echo "mtu $(cat /sys/class/net/eth0/mtu)"
$b ping -c 2 -s 1400 10.0.2.2 | grep received
$b nslookup host.gozen.internal
echo "got: $($b nc 10.0.2.2 GIVES < /dev/null | $b md5sum)"
$b dd if=/dev/urandom of=/tmp/x bs=65536 count=32 2> /dev/null
echo "sends: $($b md5sum < /tmp/x)"
$b nc 10.0.2.2 TAKES < /tmp/x
echo "serves"
$b nc -l -p 7 < /tmp/x
lease eth1 &
while [ ! -d /sys/class/net/eth1 ]; do sleep 0.1; done
$b ip link set eth0 down
wait
$b nc 10.0.2.2 GIVES < /dev/null
echo "without hostaccess: $?"
while [ -d /sys/class/net/eth1 ]; do sleep 0.1; done
echo "eth1 went"
$b reboot -f
`

// TestNet_user gives a Debian kernel a network without any right on the host: both run as a user without rights.
func TestNet_user(t *testing.T) {
	h := newHost(t)
	takes, gives := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	p := servePeer(t, takes, gives, 2<<20)
	free := listen(t, "127.0.0.1:0")
	fwd := port(free)
	_ = free.Close()
	script := strings.NewReplacer("GIVES", port(gives), "TAKES", port(takes)).Replace(usernetScript)
	cfg := h.debianModules("net", "6.1-cloud", []string{"xen_netfront"}, script,
		fmt.Sprintf("vcpus = 2\non_reboot = \"restart\"\nvif = [ 'type=user,hostaccess=1,hostfwd=tcp::%s-:7' ]\n", fwd))
	kernel, err := os.ReadFile(guestFile(t, "6.1-cloud"))
	if err != nil {
		t.Fatal(err)
	}
	h.write("vmlinuz", kernel) // the cache may be out of that user's reach
	h.unprivileged()
	c := h.create(cfg, fmt.Sprintf("kernel=%q", filepath.Join(h.dir, "vmlinuz")))
	c.expect(`lease eth0 10\.0\.2\.15/24 10\.0\.2\.2 10\.0\.2\.2`)
	c.expect(`mtu 1500`)
	c.expect(`2 packets received`)
	c.expect(`Name:\s+host\.gozen\.internal\s+Address.*10\.0\.2\.2`)
	if got, want := c.expect(`got: ([0-9a-f]{32})`)[1], fmt.Sprintf("%x", md5.Sum(p.content)); got != want {
		t.Errorf("the guest received something else: %s, want %s", got, want)
	}
	sends := c.expect(`sends: ([0-9a-f]{32})`)[1]
	c.expect("serves")
	if got := fmt.Sprintf("%x", <-p.received); got != sends {
		t.Errorf("the guest's bytes came as others: %s, want %s", got, sends)
	}
	h.eventually("the guest serves what it sent", func() bool { return fetch("127.0.0.1:"+fwd) == sends })

	var list []struct{ MAC, Interface, Bridge string }
	if err := json.Unmarshal([]byte(h.run("xl", "network-list", "-o", "json", "net")), &list); err != nil || len(list) != 1 || list[0].Interface != "" || list[0].Bridge != "" {
		t.Errorf("network-list: %+v %v", list, err)
	}
	if out, err := h.try("xl", "network-attach", "net", "type=user", "hostfwd=tcp::"+fwd+"-:7"); err == nil || !strings.Contains(out, "is taken by another program") {
		t.Errorf("network-attach with a port that is taken: %v\n%s", err, out)
	}
	h.run("xl", "network-attach", "net", "type=user")
	c.expect(`lease eth1 10\.0\.2\.15/24 10\.0\.2\.2 10\.0\.2\.2`)
	c.expect(`without hostaccess: 1`)
	h.run("xl", "network-detach", "net", "1")
	c.expect("eth1 went")

	// It is there for the next one, too.
	c.expect(`it is domain 2 now`)
	c.expect(`lease eth0 10\.0\.2\.15/24`)
	c.expect("serves")
	d, _ := h.domain("net")
	all := networks(t, d.PID)
	if len(all) != 1 {
		t.Fatalf("network processes of %d: %v", d.PID, all)
	}
	// The death of the process is the end of the network alone.
	if err := syscall.Kill(all[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.eventually("the log tells of it", func() bool {
		b, err := os.ReadFile(filepath.Join(h.dir, "run", "2", "hypervisor.log"))
		return err == nil && strings.Contains(string(b), "the network of device 0 has ended")
	})
	if len(networks(t, d.PID)) != 0 {
		t.Error("a zombie is left")
	}
	if _, ok := h.domain("net"); !ok {
		t.Error("the domain has ended")
	}
	h.run("xl", "destroy", "net")
	<-c.ended
}

func port(l net.Listener) string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

// fetch gives the sum of what a server sends, "" if that is nothing.
func fetch(address string) string {
	c, err := net.DialTimeout("tcp4", address, patience)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if err != nil || len(b) == 0 {
		return ""
	}
	return fmt.Sprintf("%x", md5.Sum(b))
}

// networks gives the network processes that a domain process has started.
func networks(t *testing.T, parent int) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	is := regexp.MustCompile(fmt.Sprintf(`(?s)^Name:\tusernet\n.*\nPid:\t(\d+)\nPPid:\t%d\n`, parent))
	for _, p := range all {
		b, _ := os.ReadFile(p)
		if m := is.FindSubmatch(b); m != nil {
			pid, _ := strconv.Atoi(string(m[1]))
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestNet_userRefused has one line say what is wrong, and nothing be left.
func TestNet_userRefused(t *testing.T) {
	h := newHost(t)
	l := listen(t, "127.0.0.1:0")
	out, err := h.try("xl", "create", h.hello("hello", fmt.Sprintf("vif = ['type=user,hostfwd=tcp::%s-:22']\n", port(l))))
	if err == nil || !strings.Contains(out, fmt.Sprintf("tcp port 127.0.0.1:%s is taken by another program", port(l))) || strings.Count(out, "\n") > 6 {
		t.Errorf("%v\n%s", err, out)
	}
	t.Log(out)
	if all := h.list(); len(all) != 1 {
		t.Errorf("%d domains are left", len(all)-1)
	}
}
