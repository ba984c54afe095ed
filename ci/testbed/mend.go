package testbed

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wild is a byte of code that may have every value: part of an address or an offset.
const wild = -1

// eventInjection is code of helper_vmrun (QEMU 7.2, target/i386/tcg/sysemu/svm_helper.c) where VMRUN injects an interrupt. Its first instruction notes
// the vector as an exception that is still to be delivered, which is an error: the call at the end delivers it.
var eventInjection = []int{
	0x89, 0xb3, wild, wild, 0xff, 0xff, // mov %esi, exception_index(%rbx)
	0xc7, 0x83, wild, wild, wild, wild, 0, 0, 0, 0, // movl $0, exception_is_int(%rbx)
	0x48, 0xc7, 0x83, wild, wild, wild, wild, 0xff, 0xff, 0xff, 0xff, // movq $-1, exception_next_eip(%rbx)
	0xf6, 0x05, wild, wild, wild, wild, 0x02, // testb $CPU_LOG_TB_IN_ASM, qemu_loglevel
	0x0f, 0x85, wild, wild, wild, wild, // jne
	0xba, 1, 0, 0, 0, // mov $1, %edx
	0x48, 0x89, 0xdf, // mov %rbx, %rdi
	0xe8, // call do_interrupt_x86_hardirq
}

// nop6 is one instruction of six bytes that does nothing.
var nop6 = []byte{0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00}

var errUnknownQEMU = errors.New("it is not built as the one that is known")

// mend gives code of QEMU without that instruction.
func mend(code []byte) ([]byte, error) {
	at := -1
	for i := 0; ; i++ {
		n := bytes.Index(code[i:], []byte{byte(eventInjection[0]), byte(eventInjection[1])})
		if n < 0 {
			break
		}
		if i += n; !matches(code[i:], eventInjection) {
			continue
		}
		if at >= 0 {
			return nil, fmt.Errorf("%w: the place is there twice", errUnknownQEMU)
		}
		at = i
	}
	if at < 0 {
		return nil, errUnknownQEMU
	}
	out := bytes.Clone(code)
	copy(out[at:], nop6)
	return out, nil
}

func matches(code []byte, pattern []int) bool {
	if len(code) < len(pattern) {
		return false
	}
	for i, p := range pattern {
		if p != wild && code[i] != byte(p) {
			return false
		}
	}
	return true
}

// mended gives the path of a copy of QEMU for x86-64 that injects interrupts once, made in the cache from the installed one. Where that is of an unknown
// build, it is the installed one, and log gets a line.
func mended(log io.Writer) (string, error) {
	const name = "qemu-system-x86_64"
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	code, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	better, err := mend(code)
	if err != nil {
		fmt.Fprintf(log, "%s: %v, so guests may get interrupts twice, and hang: see bind in ci/testbed\n", path, err)
		return path, nil
	}
	top, err := cache()
	if err != nil {
		return "", err
	}
	// QEMU looks for its firmware and modules beside its own folder.
	root := filepath.Join(top, fmt.Sprintf("qemu-%x", sha256.Sum256(code))[:len("qemu-")+12])
	to := filepath.Join(root, "bin", name)
	unlock, err := lock(filepath.Join(top, "mend.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if have, err := os.ReadFile(to); err == nil && bytes.Equal(have, better) {
		return to, nil
	}
	if err := saveFile(to, 0o755, bytes.NewReader(better)); err != nil {
		return "", err
	}
	prefix := strings.TrimSuffix(path, "/bin/"+name)
	for _, dir := range []string{"share", "lib"} {
		if err := os.Symlink(filepath.Join(prefix, dir), filepath.Join(root, dir)); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	return to, nil
}
