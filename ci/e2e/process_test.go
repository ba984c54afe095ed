package e2e

import (
	"encoding/binary"
	"strings"
	"testing"

	"gozen/benches/guest/initramfs"
	"gozen/ci/kernels"
	"gozen/hypervisor/x86/asm"
)

// Processes of a guest that reach its kernel, and come back from it, in uncommon ways.

// programAt is where programs of a page lie.
const programAt = 0x400000

// program makes a static ELF executable of code, and of data behind it: machine is 3 (i386) or 62 (x86-64).
func program(machine uint16, code []byte) []byte {
	le := binary.LittleEndian
	const head = 0x100
	b := make([]byte, head)
	copy(b, "\x7fELF\x01\x01\x01")
	le.PutUint16(b[16:], 2)
	le.PutUint16(b[18:], machine)
	le.PutUint32(b[20:], 1)
	size := uint32(head + len(code))
	if machine == 62 {
		b[4] = 2
		le.PutUint64(b[24:], programAt+head)
		le.PutUint64(b[32:], 64)
		le.PutUint16(b[52:], 64)
		le.PutUint16(b[54:], 56)
		le.PutUint16(b[56:], 1)
		p := b[64:]
		le.PutUint32(p, 1)
		le.PutUint32(p[4:], 7)
		for at, v := range map[int]uint64{16: programAt, 24: programAt, 32: uint64(size), 40: uint64(size), 48: 0x1000} {
			le.PutUint64(p[at:], v)
		}
		return append(b, code...)
	}
	le.PutUint32(b[24:], programAt+head)
	le.PutUint32(b[28:], 52)
	le.PutUint16(b[40:], 52)
	le.PutUint16(b[42:], 32)
	le.PutUint16(b[44:], 1)
	p := b[52:]
	for i, v := range []uint32{1, 0, programAt, programAt, size, size, 7, 0x1000} {
		le.PutUint32(p[4*i:], v)
	}
	return append(b, code...)
}

// i386 is a 32-bit program that says so, by INT 0x80 and by SYSCALL, and ends with status 32.
func i386(t *testing.T) []byte {
	a := asm.New(programAt + 0x100)
	a.Bits = 32
	say := func(label string, n uint64) {
		a.MovI(asm.RAX, 4)
		a.MovI(asm.RBX, 1)
		a.MovLabel(asm.RCX, label)
		a.MovI(asm.RDX, n)
	}
	say("one", 9)
	a.Raw(0xcd, 0x80)
	say("two", 10)
	a.Call("vsyscall")
	a.MovI(asm.RAX, 1)
	a.MovI(asm.RBX, 32)
	a.Raw(0xcd, 0x80)
	// As in Linux's vDSO (arch/x86/entry/vdso/vdso32/system_call.S), whose end the kernel returns to: it pops what is pushed here.
	a.Label("vsyscall")
	for _, r := range []asm.Reg{asm.RCX, asm.RDX, asm.RBP} {
		a.Push(r)
	}
	a.Mov(4, asm.RBP, asm.RCX)
	a.Raw(0x0f, 0x05)
	a.Label("one")
	a.Raw([]byte("int 0x80\n")...)
	a.Label("two")
	a.Raw([]byte("syscall32\n")...)
	code, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return program(3, code)
}

// badReturn is a program that makes up a signal frame with a code segment that does not exist, and returns from it: the kernel finds out only when it goes back.
func badReturn(t *testing.T) []byte {
	const (
		context  = 40 // struct sigcontext in struct ucontext
		selector = context + 18*8
	)
	a := asm.New(programAt + 0x100)
	a.MovLabel(asm.RSP, "frame")
	a.MovI(asm.RAX, 15) // rt_sigreturn
	a.Raw(0x0f, 0x05)
	a.Label("frame")
	f := make([]byte, 0x400)
	binary.LittleEndian.PutUint64(f[context+16*8:], programAt+0x100) // rip
	binary.LittleEndian.PutUint64(f[context+15*8:], programAt+0x800) // rsp
	binary.LittleEndian.PutUint16(f[selector:], 0x7)                 // an entry of a local descriptor table that is not there
	a.Raw(f...)
	code, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return program(62, code)
}

// backwards is a program that makes a system call with DF set: the kernel must not copy backwards. Status 64 if it did not.
func backwards(t *testing.T) []byte {
	a := asm.New(programAt + 0x100)
	a.MovLabel(asm.RDI, "name")
	a.MovI(asm.RAX, 63) // uname
	a.Raw(0xfd)         // std
	a.Raw(0x0f, 0x05)
	a.Raw(0xfc)
	a.MovLabel(asm.RDI, "name")
	a.OpMI(asm.CMP, 4, asm.At(asm.RDI, 0), int32(binary.LittleEndian.Uint32([]byte("Linu"))))
	a.MovI(asm.RDI, 1)
	a.Jcc(asm.NE, "end")
	a.MovI(asm.RDI, 64)
	a.Label("end")
	a.MovI(asm.RAX, 60)
	a.Raw(0x0f, 0x05)
	a.Align(64)
	a.Raw(make([]byte, 512)...)
	a.Label("name")
	a.Raw(make([]byte, 1024)...)
	code, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return program(62, code)
}

// interrupt is a program that calls a software interrupt which nobody has set up.
func interrupt(vector byte) []byte { return program(62, []byte{0xcd, vector, 0xf4}) }

// TestProcesses runs them in a guest of each type.
func TestProcesses(t *testing.T) {
	const script = `#!/bin/sh
mount -t proc proc /proc
echo
/i386; echo "i386 ended with $?"
/backwards; echo "backwards ended with $?"
/int33; echo "int 33 ended with $?"
/int129; echo "int 129 ended with $?"
/badreturn; echo "badreturn ended with $?"
/i386 >/dev/null; echo "the kernel lives: $?"
exec poweroff -f
`
	for _, typ := range []string{"pvh", "pv"} {
		t.Run(typ, func(t *testing.T) {
			h := newHost(t)
			var a initramfs.Archive
			a.File("/init", 0o755, []byte(script))
			a.HostFile("/bin/busybox", 0o755, guestFile(t, kernels.Busybox))
			for _, applet := range []string{"sh", "mount", "poweroff"} {
				a.Symlink("/bin/"+applet, "busybox")
			}
			a.File("/i386", 0o755, i386(t))
			a.File("/backwards", 0o755, backwards(t))
			a.File("/int33", 0o755, interrupt(33))
			a.File("/int129", 0o755, interrupt(129))
			a.File("/badreturn", 0o755, badReturn(t))
			for _, d := range []string{"/proc", "/dev"} {
				a.Dir(d, 0o755)
			}
			a.Device("/dev/console", 0o600, 5, 1)
			disk, err := a.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			c := h.create(h.config("processes", strings.Join([]string{
				`type = "` + typ + `"`, `kernel = "` + guestFile(t, "6.1-cloud") + `"`, `ramdisk = "` + h.write("initramfs", disk) + `"`,
				`cmdline = "console=hvc0 quiet"`, "memory = 256\n"}, "\n")))
			c.expect(`int 0x80\r?\nsyscall32\r?\ni386 ended with 32`)
			c.expect(`backwards ended with 64`)
			c.expect(`int 33 ended with 139`)
			c.expect(`int 129 ended with 139`)
			c.expect(`badreturn ended with 139`)
			c.expect(`the kernel lives: 32`)
			c.expect(`Domain 1 has ended: poweroff`)
			c.end()
		})
	}
}
