package e2e

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/link"
)

// Addresses of the test's own network.
const (
	hostAddr  = "10.77.0.1"
	guestAddr = "10.77.0.2"
	ownBridge = "br0"
)

// namespace puts the test's goroutine, and what it starts, into a network of its own with a bridge that has hostAddr. The thread is thrown away with the
// goroutine. Where that cannot be done, the test is skipped.
func namespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network of one's own: %v", err)
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip(err)
	}
	if err := link.AddBridge(ownBridge); err != nil {
		t.Skipf("this kernel makes no bridges: %v", err)
	}
	for name, address := range map[string]netip.Prefix{"lo": {}, ownBridge: netip.MustParsePrefix(hostAddr + "/24")} {
		if err := link.SetUp(name, address); err != nil {
			t.Fatal(err)
		}
	}
}

// peer is a server on the host: who connects sends bytes to one port, gets content from another.
type peer struct {
	content  []byte
	received chan [md5.Size]byte
}

// newPeer makes one of ports 1 and 2 of the test's own network.
func newPeer(t *testing.T, size int) *peer {
	t.Helper()
	return servePeer(t, listen(t, hostAddr+":1"), listen(t, hostAddr+":2"), size)
}

// listen listens until the end of the test.
func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", address) // on the thread that is in the namespace, if the test has one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func servePeer(t *testing.T, takes, gives net.Listener, size int) *peer {
	t.Helper()
	p := &peer{content: make([]byte, size), received: make(chan [md5.Size]byte, 64)}
	r := rand.NewChaCha8([32]byte{3})
	_, _ = r.Read(p.content)
	for l, serve := range map[net.Listener]func(net.Conn){
		takes: func(c net.Conn) {
			b, err := io.ReadAll(c)
			if err == nil {
				p.received <- md5.Sum(b)
			}
		},
		gives: func(c net.Conn) { _, _ = c.Write(p.content) },
	} {
		go func() {
			for {
				c, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					go func() {
						defer c.Close()
						serve(c)
					}()
				}
			}
		}()
	}
	return p
}

// netScript uses a network: small packets, and streams both ways, each checked by a sum.
const netScript = `mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
b=/bin/busybox
until [ -d /sys/class/net/eth0 ]; do sleep 0.1; done
echo "eth0 $(cat /sys/class/net/eth0/address) mtu $(cat /sys/class/net/eth0/mtu) queues $(ls -d /sys/class/net/eth0/queues/rx-* | $b wc -l)"
$b ip addr add 10.77.0.2/24 dev eth0
$b ip link set eth0 up
$b ping -c 3 -i 0.2 -s 1400 10.77.0.1 | grep received
echo "got: $($b nc 10.77.0.1 2 < /dev/null | $b md5sum)"
mkdir -p /tmp
$b dd if=/dev/urandom of=/tmp/x bs=65536 count=64 2>/dev/null
echo "sends: $($b md5sum < /tmp/x)"
$b nc 10.77.0.1 1 < /tmp/x
echo "errors $(cat /sys/class/net/eth0/statistics/rx_errors) $(cat /sys/class/net/eth0/statistics/tx_errors)"
read word
poweroff -f
`

// TestNet gives Debian kernels a network device on a bridge of the host.
func TestNet(t *testing.T) {
	for _, typ := range []string{"pvh", "pv", "hvm"} {
		for _, vcpus := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s/vcpus=%d", typ, vcpus), func(t *testing.T) { guestNet(t, typ, vcpus) })
		}
	}
}

func guestNet(t *testing.T, typ string, vcpus int) {
	namespace(t)
	h := newHost(t)
	p := newPeer(t, 4<<20)
	const mac = "00:16:3e:01:02:03"
	cfg := h.debianModules("net", "6.1-cloud", []string{"xen_netfront"}, netScript,
		fmt.Sprintf("type = %q\nvcpus = %d\nvif = [ 'bridge=%s,mac=%s' ]\n", typ, vcpus, ownBridge, mac))
	c := h.create(cfg)
	c.expect(fmt.Sprintf(`eth0 %s mtu 1500 queues %d`, mac, vcpus))
	c.expect(`3 packets received`)
	if got, want := c.expect(`got: ([0-9a-f]{32})`)[1], fmt.Sprintf("%x", md5.Sum(p.content)); got != want {
		t.Errorf("the guest received something else: %s, want %s", got, want)
	}
	sends := c.expect(`sends: ([0-9a-f]{32})`)[1]
	c.expect(`errors 0 0`)
	if got := fmt.Sprintf("%x", <-p.received); got != sends {
		t.Errorf("the guest's bytes came as others: %s, want %s", got, sends)
	}
	var list []struct {
		MAC, Interface, Bridge string
		State                  int
	}
	if err := json.Unmarshal([]byte(h.run("xl", "network-list", "-o", "json", "net")), &list); err != nil || len(list) != 1 || list[0].MAC != mac || list[0].State != 4 || list[0].Bridge != ownBridge {
		t.Errorf("network-list: %+v %v", list, err)
	}
	if out := h.run("xl", "network-list", "net"); !regexp.MustCompile(`(?m)^0   0  00:16:3e:01:02:03 0 +4 +\d+ +\d+/\d+ +/local/domain/0/backend/vif/1/0 *$`).MatchString(out) {
		t.Errorf("network-list:\n%s", out)
	}
	h.run("xl", "destroy", "net")
	<-c.ended
	h.eventually("the tap goes with the domain's process", func() bool { _, err := net.InterfaceByName(list[0].Interface); return err != nil })
}

// netAttachScript tells of devices that come and go.
const netAttachScript = `mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
b=/bin/busybox
echo "ready for networks"
for n in 1 2; do
	until [ -d /sys/class/net/eth0 ]; do sleep 0.1; done
	$b ip addr add 10.77.0.2/24 dev eth0
	$b ip link set eth0 up
	echo "came: $(cat /sys/class/net/eth0/address) mtu $(cat /sys/class/net/eth0/mtu)"
	$b ping -c 1 10.77.0.1 | grep received
	while [ -d /sys/class/net/eth0 ]; do sleep 0.1; done
	echo "went $n"
done
poweroff -f
`

// TestNet_attach attaches and detaches devices of a running guest.
func TestNet_attach(t *testing.T) {
	namespace(t)
	h := newHost(t)
	c := h.create(h.debianModules("grow", "6.1-cloud", []string{"xen_netfront"}, netAttachScript, ""))
	c.expect("ready for networks")
	for _, bad := range []struct{ want, spec string }{{"there is no bridge br9", "bridge=br9"}, {"is the address of a group", "mac=01:00:00:00:00:00"}, {"unknown parameter", "frob=1"},
		{"an interface of that name already", "vifname=br0"}} {
		if out, err := h.try("xl", "network-attach", "grow", bad.spec); err == nil || !strings.Contains(out, bad.want) {
			t.Errorf("network-attach %s: %v\n%s", bad.spec, err, out)
		}
	}
	h.run("xl", "network-attach", "grow", "bridge="+ownBridge, "mac=00:16:3e:0a:0b:0c", "mtu=9000")
	c.expect(`came: 00:16:3e:0a:0b:0c mtu (1500|9000)`)
	c.expect("1 packets received")
	if out, err := h.try("xl", "network-attach", "grow", "bridge="+ownBridge, "devid=0"); err == nil || !strings.Contains(out, "already") {
		t.Errorf("a second device 0: %v\n%s", err, out)
	}
	h.run("xl", "network-detach", "grow", "00:16:3E:0A:0B:0C")
	c.expect("went 1")
	h.run("xl", "network-attach", "grow", "bridge="+ownBridge, "rate=100Mb/s")
	c.expect("1 packets received")
	h.run("xl", "network-detach", "grow", "0")
	c.expect("went 2")
	c.expect("has ended: poweroff")
	c.end()
}

// TestNet_noBridge has one line say what is wrong, and nothing be left.
func TestNet_noBridge(t *testing.T) {
	namespace(t)
	h := newHost(t)
	out, err := h.try("xl", "create", h.hello("hello", "vif = ['']\n"))
	if err == nil || !strings.Contains(out, "there is no bridge xenbr0") || bytes.Count([]byte(out), []byte("\n")) > 6 {
		t.Errorf("%v\n%s", err, out)
	}
	if all := h.list(); len(all) != 1 {
		t.Errorf("%d domains are left", len(all)-1)
	}
}
