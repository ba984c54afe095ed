package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"gozen/ci/kernels"
)

// hotplugGuest says whether the host answers, in two lives.
const hotplugGuest = `mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
b=/bin/busybox
until [ -d /sys/class/net/eth0 ]; do sleep 0.1; done
$b ip addr add 10.77.0.2/24 dev eth0
$b ip link set eth0 up
$b ping -c 20 -i 0.2 10.77.0.1 | grep -m 1 'bytes from' && echo "the host answers"
read word
reboot -f
`

// hotplugScript notes what it is called with, and joins the bridge as xenstore says.
const hotplugScript = `#!/bin/sh
exec >> %[1]s/log 2> /dev/null
echo "$1 $2 $XENBUS_TYPE $XENBUS_PATH $vif $(xenstore-read "$XENBUS_PATH/mac")"
[ "$1" = offline ] && exit 0
%[2]s brctl addif "$(xenstore-read "$XENBUS_PATH/bridge")" "$vif" || : # it is in there after a restart
`

// TestNet_script has a script of the host set the interface of a guest up, at its start, its restart and its end.
func TestNet_script(t *testing.T) {
	namespace(t)
	h := newHost(t)
	script := h.write("vif-test", fmt.Appendf(nil, hotplugScript, h.dir, guestFile(t, kernels.Busybox)))
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	lines := func(n int) []string {
		var all []string
		h.eventually(fmt.Sprintf("the script has run %d times", n), func() bool {
			b, _ := os.ReadFile(h.dir + "/log")
			all = strings.Split(strings.TrimSpace(string(b)), "\n")
			return len(all) >= n
		})
		return all
	}
	expect := func(n int, pattern string) {
		t.Helper()
		if l := lines(n)[n-1]; !regexp.MustCompile("^" + pattern + "$").MatchString(l) {
			t.Errorf("call %d of the script: %q, want %s", n, l, pattern)
		}
	}
	const mac = "00:16:3e:01:02:03"
	c := h.create(h.debianModules("plug", "6.1-cloud", []string{"xen_netfront"}, hotplugGuest,
		fmt.Sprintf("vif = [ 'bridge=%s,mac=%s,vifname=plug0,script=%s' ]\n", ownBridge, mac, script)))
	c.expect("the host answers")
	expect(1, `online type_if=vif vif backend/vif/1/0 plug0 `+mac)
	id := strings.TrimSpace(h.run("xl", "domid", "plug"))
	if err := os.WriteFile(strings.TrimSpace(h.run("xenstore-read", "/local/domain/"+id+"/console/tty")), []byte("again\n"), 0); err != nil {
		t.Fatal(err)
	}
	c.expect("has ended: reboot")
	c.expect("the host answers")
	expect(2, `offline type_if=vif vif backend/vif/1/0 plug0( .*)?`)
	expect(3, `online type_if=vif vif backend/vif/2/0 plug0 `+mac)
	h.run("xl", "network-attach", "plug", "bridge="+ownBridge, "vifname=plug1", "script="+script)
	expect(4, `online type_if=vif vif backend/vif/2/1 plug1 00:16:3e:.*`)
	h.run("xl", "network-detach", "--force", "plug", "1")
	expect(5, `offline type_if=vif vif backend/vif/2/1 plug1( .*)?`)
	h.run("xl", "destroy", "plug")
	<-c.ended
	expect(6, `offline type_if=vif vif backend/vif/2/0 plug0( .*)?`)

	bad := h.write("vif-bad", []byte("#!/bin/sh\necho no such thing >&2\nexit 3\n"))
	if err := os.Chmod(bad, 0o755); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]string{bad: "exit status 3: no such thing", h.dir + "/none": "no such file"} {
		out, err := h.try("xl", "create", h.hello("refused", fmt.Sprintf("vif = [ 'bridge=%s,script=%s' ]\n", ownBridge, s)))
		if err == nil || !strings.Contains(out, want) || !strings.Contains(out, "nothing of it is left") {
			t.Errorf("%s: %v\n%s", s, err, out)
		}
		if _, ok := h.domain("refused"); ok {
			t.Error("it is there")
		}
	}
}
