package cfg

import "strings"

// class says what becomes of a key.
type class uint8

const (
	obeyed  class = iota + 1
	later         // known, will mean something, does not yet
	noop          // known, has no meaning here and never will
	refused       // cannot be done, and a guest would miss it
	onlyHVM       // obeyed by HVM domains, not available yet in others
)

// keyClasses is every key of xl.cfg(5) of Xen 4.17 and later, and the dead ones that public files still carry.
var keyClasses = map[class]string{
	obeyed: `name uuid type builder pvh kernel ramdisk cmdline root extra memory maxmem vcpus maxvcpus on_poweroff
		on_reboot on_watchdog on_crash on_soft_reset tsc_mode max_event_channels max_grant_frames max_grant_version
		localtime rtc_timeoffset engine deterministic seed sandbox memory_backing memory_prealloc disk vif bootloader bootloader_args`,
	later: `cpuid max_maptrack_frames nestedhvm acpi driver_domain xenstore_feature_mask pool firmware firmware_override cpus cpus_soft
		cpu_weight cap extratime period slice latency vnuma shadow_memory mmio_hole p9 virtio channel
		vuart vfb vnc vnclisten vncdisplay vncunused vncpasswd vga stdvga videoram nographic keymap usb usbversion usbdevice
		usbctrl usbdev vkb vkb_device vdispl vsnd hap apic acpi_s3 acpi_s4 viridian altp2m altp2m_count vpmu
		vmtrace_buf_kb mca_caps msr_relaxed timer_mode vpt_align smbios smbios_firmware acpi_firmware
		acpi_laptop_slate ms_vm_genid xenstore_quota e820_host hdtype nomigrate device_tree soundhw
		passthrough`,
	onlyHVM: `boot serial xen_platform_pci hpet bios bios_path_override`,
	noop: `seclabel init_seclabel bootloader_restrict bootloader_user llc_colors sdl opengl display xauthority vncviewer
		oos pae nx altp2mhvm pvshim pvshim_path pvshim_cmdline pvshim_extra pvcalls xen_platform_pci_bar_uc hvm_pirq vtpm
		xend_suspend_evtchn_compat device_model_version device_model_override device_model device_model_args
		device_model_args_pv device_model_args_hvm device_model_stubdomain_override device_model_stubdomain_seclabel
		device_model_stubdomain_init_seclabel stubdomain_kernel stubdomain_cmdline stubdomain_ramdisk stubdomain_memory
		stubdomain_vcpus stubdomain_maxvcpus dm_restrict device_model_user vendor_device gic_version sve nr_spis
		trap_unmapped_accesses arm_sci vif2 spice spicehost spiceport spicetls_port spicedisable_ticketing spicepasswd
		spiceagent_mouse spicevdagent spice_clipboard_sharing spiceusbredirection spice_image_compression
		spice_streaming_video suppress_spurious_page_faults xen_extended_cr3 arch audio iommu console tpm`,
	refused: `pci pci_permissive pci_msitranslate pci_seize pci_power_mgmt rdm rdm_mem_boundary dtdev iomem irqs ioports
		gfx_passthru tee`,
}

// keys is keyClasses turned round. It is made anew by each reader: the table is read once a command.
func keys() map[string]class {
	m := map[string]class{}
	for c, list := range keyClasses {
		for _, k := range strings.Fields(list) {
			m[k] = c
		}
	}
	return m
}

// Keys lists every known key, for completion.
func Keys() []string {
	var out []string
	for k := range keys() {
		out = append(out, k)
	}
	return out
}

// aliases are words people write for a key that no spelling distance finds.
var aliases = map[string]string{"maxcpus": "maxvcpus", "ncpus": "vcpus", "cpu": "vcpus", "mem": "memory", "ram": "memory",
	"initrd": "ramdisk", "initramfs": "ramdisk", "append": "cmdline", "args": "cmdline", "kernel_args": "cmdline",
	"disks": "disk", "vifs": "vif", "nic": "vif", "nics": "vif", "network": "vif", "image": "kernel", "hostname": "name",
	"on_shutdown": "on_poweroff"}

// Suggest gives the known key that key was probably meant to be, or "".
func Suggest(key string) string {
	if a := aliases[key]; a != "" {
		return a
	}
	best, bestD := "", max(1, min(2, len(key)/3))+1
	for k := range keys() {
		if d := distance(key, k); d < bestD || d == bestD && best != "" && k < best {
			best, bestD = k, d
		}
	}
	return best
}

// distance counts insertions, deletions, replacements and swaps of neighbours between a and b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
