package main

import "strings"

// command is a row of the table of subcommands. run is nil for one that only says why it is not there.
type command struct {
	name     string
	summary  string
	usage    string
	options  string
	run      func(*app, *call) int
	modifies bool
	dryRun   bool
	why      string
}

const (
	notYet = "not available yet in this version of gozen"
	noDom0 = "not applicable: there is no privileged domain here, the host's own tools do this"
	noPass = "not applicable: host devices cannot be passed through to gozen domains"
	noQemu = "not applicable: gozen has no QEMU device model"
	noXSM  = "not applicable: gozen has no XSM/Flask policy; each domain is a process of its own, confined by the host"
	noPSR  = "not applicable: cache and memory bandwidth control is the host's resctrl file system"
	noPool = "not available yet: CPU pools are to become cpusets of the host"
)

// jsonOpt is the line of help that every listing has.
const jsonOpt = "-o json                 Print JSON instead of a table.\n"

// commands gives the table. The order is xl's own, ours come last.
func commands() []command {
	return []command{
		{name: "create", run: (*app).create, dryRun: true, modifies: true, summary: "Build a domain from a configuration file and start it",
			usage: "<ConfigFile> [options] [key=value ...]",
			options: "-c                      Show the guest's console from its first byte; ^] leaves it.\n" +
				"-F                      Stay in the foreground until the domain is gone.\n" +
				"-p                      Leave the domain paused.\n" +
				"-f FILE, --defconfig=FILE\n                        The configuration file.\n" +
				"-n, --dryrun            Only print the resulting configuration.\n" +
				"-q, --quiet             Print errors only.\n" +
				"-v, --verbose           Print which engine executes the guest, by which paths, and why.\n" +
				"-e                      Accepted: nothing waits in the background here.\n" +
				"-d, -V, -A              Accepted without effect.\n" +
				"--engine=soft|kvm|auto  What executes the guest.\n"},
		{name: "config-update", why: notYet},
		{name: "list", run: (*app).list, summary: "List the domains, or one of them", usage: "[options] [Domain]",
			options: "-l, --long              Print each configuration, as a JSON array.\n" +
				"-v, --verbose           Also print UUID, reason code and security label.\n" +
				"-Z, --context           Also print the security label.\n" +
				"-c, --cpupool           Also print the CPU pool.\n" +
				"-n, --numa              Also print the NUMA node affinity.\n" + jsonOpt},
		{name: "destroy", run: (*app).destroy, modifies: true, summary: "End a domain at once", usage: "[options] <Domain>",
			options: "-f                      Accepted; Domain-0 is the host and is never destroyed.\n"},
		{name: "shutdown", run: (*app).shutdown, modifies: true, summary: "Ask a guest to power itself off", usage: "[options] <-a|Domain>",
			options: "-a, --all               All domains.\n-w, --wait              Wait until they have shut down; twice: until they are gone.\n" +
				"-F                      Use the ACPI power button where the guest has no PV drivers.\n"},
		{name: "reboot", run: (*app).reboot, modifies: true, summary: "Ask a guest to reboot", usage: "[options] <-a|Domain>",
			options: "-a, --all               All domains.\n-w, --wait              Wait until they have shut down; twice: until they are gone.\n" +
				"-F                      Use the ACPI reset event where the guest has no PV drivers.\n"},
		{name: "pci-attach", why: noPass}, {name: "pci-detach", why: noPass}, {name: "pci-list", why: noPass},
		{name: "pci-assignable-add", why: noPass}, {name: "pci-assignable-remove", why: noPass}, {name: "pci-assignable-list", why: noPass},
		{name: "pause", run: (*app).pause, modifies: true, summary: "Stop the vCPUs of a domain", usage: "<Domain>"},
		{name: "unpause", run: (*app).unpause, modifies: true, summary: "Let a paused domain run", usage: "<Domain>"},
		{name: "console", run: (*app).console, summary: "Attach to the console of a domain", usage: "[options] <Domain>",
			options: "-t <type>               Console type: pv.\n-n <number>             Console number: 0.\n" +
				"-e <escape>             The key that leaves the console, ^] if not given.\n" +
				"--log                   First print what the guest has printed since its start.\n"},
		{name: "vncviewer", why: notYet},
		{name: "save", why: notYet}, {name: "migrate", why: notYet}, {name: "restore", why: notYet}, {name: "migrate-receive", why: notYet},
		{name: "suspend", why: notYet}, {name: "resume", why: notYet}, {name: "dump-core", why: notYet},
		{name: "cd-insert", run: (*app).cdInsert, dryRun: true, modifies: true, summary: "Put a medium into the CD-ROM drive of an HVM domain", usage: "[options] <Domain> <VirtualDevice> <[format:]path>",
			options: "--force                 Also where the guest has locked the drive.\n  xl cd-insert web hdc /srv/debian.iso\n"},
		{name: "cd-eject", run: (*app).cdEject, modifies: true, summary: "Empty the CD-ROM drive of an HVM domain", usage: "[options] <Domain> <VirtualDevice>",
			options: "--force                 Also where the guest has locked the drive.\n"},
		{name: "mem-max", why: notYet}, {name: "mem-set", why: notYet},
		{name: "button-press", why: notYet},
		{name: "vcpu-list", run: (*app).vcpuList, summary: "List the vCPUs of all domains, or of some", usage: "[options] [Domain ...]", options: jsonOpt},
		{name: "vcpu-pin", why: notYet}, {name: "vcpu-set", why: notYet},
		{name: "vm-list", run: (*app).vmList, summary: "List the guests with their UUIDs", usage: "[options]", options: jsonOpt},
		{name: "info", run: (*app).info, summary: "Describe the host", usage: "[options] [key]",
			options: "-n, --numa              Also print the NUMA topology.\n" + jsonOpt},
		{name: "sharing", why: notYet}, {name: "sched-credit", why: notYet}, {name: "sched-credit2", why: notYet}, {name: "sched-rtds", why: notYet},
		{name: "domid", run: (*app).domid, summary: "Print the domid of a domain name", usage: "<DomainName>", options: jsonOpt},
		{name: "domname", run: (*app).domname, summary: "Print the name of a domid", usage: "<DomainId>", options: jsonOpt},
		{name: "rename", run: (*app).rename, modifies: true, summary: "Give a domain another name", usage: "<Domain> <NewDomainName>"},
		{name: "trigger", why: notYet}, {name: "sysrq", why: notYet}, {name: "debug-keys", why: notYet}, {name: "set-parameters", why: notYet},
		{name: "dmesg", run: (*app).dmesg, summary: "Print the hypervisor's messages, of all domains or of one", usage: "[options] [Domain]",
			options: "-c, --clear             Also clear them.\n"},
		{name: "top", why: notYet},
		{name: "network-attach", run: (*app).networkAttach, dryRun: true, modifies: true, summary: "Give a domain another network device", usage: "<Domain> [<key=value> ...]",
			options: "The parameters are those of the key vif (xl-network-configuration(5)), in one word or several:\n" +
				"  xl network-attach web bridge=br0 mac=00:16:3e:12:34:56\n  xl network-attach web bridge=br0,rate=10Mb/s\n" +
				"  xl network-attach web type=user hostfwd=tcp::8080-:80\n"},
		{name: "network-list", run: (*app).networkList, summary: "List the network devices of domains", usage: "[options] <Domain(s)>", options: jsonOpt},
		{name: "network-detach", run: (*app).networkDetach, modifies: true, summary: "Take a network device away from a domain", usage: "[options] <Domain> <DevId|mac>",
			options: "--force                 Do not wait until the guest has let it go.\n"},
		{name: "channel-list", why: notYet},
		{name: "block-attach", run: (*app).blockAttach, dryRun: true, modifies: true, summary: "Give a domain another disk", usage: "<Domain> <disk-spec-component(s)>...",
			options: "A disk specification is that of the key disk (xl-disk-configuration(5)), in one word or several:\n" +
				"  xl block-attach web /srv/data.img,raw,xvdb,rw\n  xl block-attach web vdev=xvdb access=ro target=/srv/data.img\n"},
		{name: "block-list", run: (*app).blockList, summary: "List the disks of domains", usage: "[options] <Domain(s)>", options: jsonOpt},
		{name: "block-detach", run: (*app).blockDetach, modifies: true, summary: "Take a disk away from a domain", usage: "[options] <Domain> <DevId>",
			options: "--force                 Do not wait until the guest has let it go.\nDevId is a name such as xvdb, or the number that block-list prints.\n"},
		{name: "vtpm-attach", why: notYet}, {name: "vtpm-list", why: notYet}, {name: "vtpm-detach", why: notYet},
		{name: "vkb-attach", why: notYet}, {name: "vkb-list", why: notYet}, {name: "vkb-detach", why: notYet},
		{name: "vdispl-attach", why: notYet}, {name: "vdispl-list", why: notYet}, {name: "vdispl-detach", why: notYet},
		{name: "vsnd-attach", why: notYet}, {name: "vsnd-list", why: notYet}, {name: "vsnd-detach", why: notYet},
		{name: "uptime", run: (*app).uptime, summary: "Print how long the domains have been running", usage: "[options] [Domain ...]",
			options: "-s                      Short form.\n" + jsonOpt},
		{name: "claims", why: notYet},
		{name: "cpupool-create", why: noPool}, {name: "cpupool-list", why: noPool}, {name: "cpupool-destroy", why: noPool}, {name: "cpupool-rename", why: noPool},
		{name: "cpupool-cpu-add", why: noPool}, {name: "cpupool-cpu-remove", why: noPool}, {name: "cpupool-migrate", why: noPool}, {name: "cpupool-numa-split", why: noPool},
		{name: "getenforce", why: noXSM}, {name: "setenforce", why: noXSM}, {name: "loadpolicy", why: noXSM},
		{name: "remus", why: "not applicable: checkpoint replication needs a privileged domain and DRBD"}, {name: "devd", why: noDom0},
		{name: "psr-hwinfo", why: noPSR}, {name: "psr-cmt-attach", why: noPSR}, {name: "psr-cmt-detach", why: noPSR}, {name: "psr-cmt-show", why: noPSR},
		{name: "psr-cat-set", why: noPSR}, {name: "psr-cat-show", why: noPSR}, {name: "psr-mba-set", why: noPSR}, {name: "psr-mba-show", why: noPSR},
		{name: "usbctrl-attach", why: notYet}, {name: "usbctrl-detach", why: notYet}, {name: "usbdev-attach", why: notYet}, {name: "usbdev-detach", why: notYet},
		{name: "usb-list", why: notYet}, {name: "qemu-monitor-command", why: noQemu},
		{name: "dt-overlay", why: "not applicable: device-tree overlays need pass-through devices"},
		{name: "xenstore-quota-get", why: notYet}, {name: "xenstore-quota-set", why: notYet},
		{name: "config", run: (*app).configCmd, summary: "Check a configuration file without making a domain", usage: "check [options] <ConfigFile> [key=value ...]",
			options: "-s, --strict            Count warnings as errors.\n" + jsonOpt},
		{name: "xenstore", run: func(a *app, c *call) int { return a.xenstore(append([]string{"xl xenstore"}, c.args...)) },
			summary: "Read and change xenstore", usage: "<ls|read|write|rm|watch|exists|list|chmod> [options] [path ...]"},
		{name: "trace", run: (*app).trace, summary: "Show what this host can tell of vCPUs", usage: "doctor [options]",
			options: jsonOpt + "It is perfctl that does the work, and perfctl trace --kernel traces.\n"},
		{name: "completion", run: (*app).completion, summary: "Print shell completion", usage: "<bash|zsh|fish>"},
	}
}

// lookup finds a subcommand by name or by an unambiguous beginning of it.
func lookup(name string) *command {
	if name == "" {
		return nil
	}
	var hit *command
	table := commands()
	for i := range table {
		c := &table[i]
		if c.name == name {
			return c
		}
		if strings.HasPrefix(c.name, name) {
			if hit != nil {
				hit = &command{}
				continue
			}
			hit = c
		}
	}
	if hit == nil || hit.name == "" {
		return nil
	}
	return hit
}

// suggestCommand gives the subcommand that is one slip away from name, or "".
func suggestCommand(name string) string {
	for _, c := range commands() {
		if len(c.name) > 3 && oneSlip(name, c.name) {
			return c.name
		}
	}
	return ""
}

// oneSlip says whether a becomes b by one letter more, less, other, or two swapped.
func oneSlip(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	ra, rb := a[i:], b[i:]
	switch {
	case ra == "" && rb == "":
		return false
	case len(ra) == len(rb):
		return ra[1:] == rb[1:] || len(ra) > 1 && ra[0] == rb[1] && ra[1] == rb[0] && ra[2:] == rb[2:]
	case len(ra) == len(rb)+1:
		return ra[1:] == rb
	case len(rb) == len(ra)+1:
		return rb[1:] == ra
	}
	return false
}
