package cfg

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gozen/hypervisor/config"
)

// defaultBridge is what a network device joins if nothing else is said, as with Xen.
const defaultBridge = "xenbr0"

// scripts is the folder of scripts that are named without one, and ownScript the one of them whose work is done without it.
const (
	scripts   = "/etc/xen/scripts/"
	ownScript = "vif-bridge"
)

// vifs reads the key vif.
func (b *builder) vifs() {
	s := b.cfg.Find("vif")
	if s == nil {
		return
	}
	if !s.Value.IsList {
		b.fail(&config.Error{Field: "vif", What: "parameter `vif' is a single value but should be a list", Fix: "put it into brackets"})
		return
	}
	for i, v := range s.Value.List {
		n, e := ParseVIF(v.Str, i)
		if e != nil {
			b.fail(e)
			continue
		}
		b.res.Domain.NICs = append(b.res.Domain.NICs, n)
	}
}

// ParseVIF reads a network device's specification (xl-network-configuration(5)), whose devid is id unless it says another.
func ParseVIF(spec string, id int) (config.NIC, *config.Error) {
	n := config.NIC{ID: id}
	var user config.UserNet
	given := map[string]bool{}
	fail := func(what, fix string) (config.NIC, *config.Error) {
		return n, &config.Error{Field: "vif", What: fmt.Sprintf("vif %q: %s", spec, what), Fix: fix}
	}
	for w := range strings.SplitSeq(spec, ",") {
		w = strings.TrimSpace(w)
		if w == "" {
			continue
		}
		key, v, named := strings.Cut(w, "=")
		key, v = strings.TrimSpace(key), strings.TrimSpace(v)
		if !named && key != "trusted" && key != "untrusted" && key != "accel" {
			return fail(fmt.Sprintf("%q has no value", w), "parameters are written KEY=VALUE, as bridge=xenbr0")
		}
		given[key] = true
		var err error
		switch key {
		case "mac":
			n.MAC = v
		case "bridge":
			n.Bridge = v
		case "vifname":
			n.Name = v
		case "ip":
			n.IP = v
		case "mtu":
			n.MTU, err = strconv.Atoi(v)
		case "queues":
			n.Queues, err = strconv.Atoi(v)
		case "devid":
			n.ID, err = strconv.Atoi(v)
		case "rate":
			if n.RateBytes, n.RateEvery, err = parseRate(v); err != nil {
				return fail(fmt.Sprintf("rate %q: %v", v, err), "write it as 10Mb/s, 1MB/s or 250KB/s@20ms")
			}
		case "type":
			switch v {
			case "vif", "ioemu":
				n.User = nil
			case "user":
				n.User = &user
			default:
				return fail(fmt.Sprintf("type %q is unknown", v), "use vif, or user for a network without rights on the host")
			}
		case "hostfwd":
			f, err := config.ParseForward(v)
			if err != nil {
				return fail(fmt.Sprintf("hostfwd %q: %v", v, err), "write it as tcp::8080-:80, which takes port 8080 of the host to port 80 of the guest")
			}
			user.Forwards = append(user.Forwards, f)
		case "hostaccess":
			if v != "0" && v != "1" {
				return fail(fmt.Sprintf("hostaccess %q is neither 0 nor 1", v), "give 1 for a guest that may reach the host's 127.0.0.1, else leave it out")
			}
			user.HostAccess = v == "1"
		case "script":
			if n.Script = v; v == ownScript {
				n.Script = ""
			} else if v != "" && !strings.HasPrefix(v, "/") {
				n.Script = scripts + v
			}
		case "backend":
			if v != "0" && v != "Domain-0" {
				return fail(w+" cannot be had", "leave it out: the domain's own process is the back end")
			}
		case "model", "trusted", "untrusted", "accel": // there is no emulated card; the others change nothing here
		case "gatewaydev", "netdev", "vlan":
			return fail(w+" cannot be had", "leave it out")
		default:
			return fail(fmt.Sprintf("unknown parameter %q", key), "the parameters are mac, bridge, vifname, ip, mtu, rate, queues, devid, type, hostfwd, hostaccess, script, model, backend")
		}
		if err != nil {
			return fail(fmt.Sprintf("%q is not a number", v), "give one")
		}
	}
	if what, fix := contradiction(n.User != nil, given); what != "" {
		return fail(what, fix)
	}
	if n.User == nil && !given["bridge"] {
		n.Bridge = defaultBridge
	}
	return n, nil
}

// contradiction finds parameters that go only with the other type of device; "" if there are none.
func contradiction(user bool, given map[string]bool) (what, fix string) {
	for _, k := range []string{"bridge", "vifname", "script", "ip", "queues"} {
		if user && given[k] {
			return k + " does not go with type=user: such a device is on no interface of the host", "leave out " + k + ", or type=user"
		}
	}
	for _, k := range []string{"hostfwd", "hostaccess"} {
		if !user && given[k] {
			return k + " needs type=user", "add type=user, or leave out " + k
		}
	}
	return "", ""
}

// parseRate reads a rate such as 10Mb/s or 250KB/s@20ms: bits (b) or bytes (B) in a second, given out in pieces, one each interval (by default 50 ms).
func parseRate(s string) (bytes int64, every time.Duration, err error) {
	rate, interval, given := strings.Cut(s, "@")
	every = 50 * time.Millisecond
	if given {
		if every, err = time.ParseDuration(interval); err != nil || every <= 0 || every > 4*time.Second {
			return 0, 0, fmt.Errorf("interval %q is none of at most 4 s", interval)
		}
	}
	num, ok := strings.CutSuffix(rate, "/s")
	if !ok {
		return 0, 0, fmt.Errorf("it is not in units a second")
	}
	for _, u := range []struct {
		name string
		size float64 // bytes
	}{{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"Gb", 1e9 / 8}, {"Mb", 1e6 / 8}, {"Kb", 1e3 / 8}, {"B", 1}, {"b", 1.0 / 8}} {
		if n, ok := strings.CutSuffix(num, u.name); ok {
			v, err := strconv.ParseUint(n, 10, 40)
			if err != nil {
				return 0, 0, fmt.Errorf("%q is not a number", n)
			}
			bytes = int64(float64(v) * u.size * every.Seconds())
			if bytes <= 0 {
				return 0, 0, fmt.Errorf("less than a byte in each %v", every)
			}
			return bytes, every, nil
		}
	}
	return 0, 0, fmt.Errorf("it has no unit")
}
