package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"gozen/benches/svm"
	"gozen/ci/kernels"
	"gozen/ci/testbed"
)

// Paths inside, for devices.
const (
	ioC      = "/bin/io"
	ioDisk   = "/guest/io"     // initial RAM disk
	diskFile = "/tmp/disk.img" // in the host's memory
)

// frontends are the modules of the guest's kernel for the devices of gozen and of QEMU.
var frontends = []string{"xen-blkfront", "xen-netfront", "virtio_mmio", "virtio_blk", "virtio_net"}

// runIO loads what fits the machine, waits for disk and network, and runs the program. Its addresses are those of package meter.
const runIO = `#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read m; do insmod /modules/$m 2>/dev/null; done < /modules/order
disk=
while [ -z "$disk" ]; do
	for d in /dev/xvda /dev/vda; do [ -b $d ] && disk=$d; done
	sleep 0.01
done
echo none > /sys/block/${disk#/dev/}/queue/scheduler
until [ -d /sys/class/net/eth0 ]; do sleep 0.01; done
ip addr add 10.77.0.2/24 dev eth0
ip link set eth0 up
until ping -c 1 10.77.0.1 > /dev/null; do sleep 0.1; done
/bin/io $disk 10.77.0.1 7777
while :; do sleep 1000; done
`

// devices makes what only the measurement of devices needs.
func (p *plan) devices(ctx context.Context, dir string) error {
	if err := haveCompiler(ctx); err != nil {
		return err
	}
	program, err := compile(ctx, dir, ioC)
	if err != nil {
		return err
	}
	modules, err := kernels.FetchModules(os.Stderr, cloud(svm.Host61), frontends...)
	if err != nil {
		return err
	}
	f, err := kernels.Open()
	if err != nil {
		return err
	}
	box, err := f.Find(kernels.Busybox)
	if err != nil {
		return err
	}
	a := userland(runIO, box, ioC, program, []string{"sh", "mount", "sleep", "insmod", "ip", "ping"}, "/modules")
	order := ""
	for _, m := range modules {
		a.HostFile("/modules/"+filepath.Base(m), 0o644, m)
		order += filepath.Base(m) + "\n"
	}
	a.File("/modules/order", 0o644, []byte(order))
	disk, err := a.Bytes()
	if err != nil {
		return err
	}
	p.files[ioDisk] = filepath.Join(dir, "guest-io")
	return os.WriteFile(p.files[ioDisk], disk, 0o600)
}

// compile builds one of the C programs.
func compile(ctx context.Context, dir, inside string) (string, error) {
	to := filepath.Join(dir, filepath.Base(inside))
	text, err := sources.ReadFile("c/" + filepath.Base(inside) + ".c")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(to+".c", text, 0o600); err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "gcc", "-O2", "-static", "-o", to, to+".c").CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc %s.c: %w\n%s", filepath.Base(to), err, out)
	}
	return to, nil
}

// deviceBoots lists what is to be run for the targets of devices.
func (p *plan) deviceBoots() []bootSpec {
	const fill = "dd if=/dev/urandom of=" + diskFile + " bs=1M count=64 2>/dev/null; "
	io := func(name string, command ...string) testbed.Job {
		j := job("io-"+name, append([]string{"io", name, vmlinux, ioDisk, diskFile}, command...)...)
		j.Script = fill + j.Script
		return j
	}
	virtio := append(qemu(qemuMicrovm, "microvm,rtc=on", vmlinux, ioDisk), "-drive", "id=d,if=none,format=raw,file="+diskFile, "-device", "virtio-blk-device,drive=d",
		"-netdev", "tap,id=n,ifname=tap0,script=no,downscript=no", "-device", "virtio-net-device,netdev=n")
	return []bootSpec{p.with(svm.Host61, []testbed.Job{io("gozen"), io("qemu", virtio...)}, "tun")}
}
