#include "textflag.h"

// func rawIoctl(fd, request, arg uintptr) uintptr
// One request without the runtime's knowledge, as syscall.RawSyscall, in a fifth of its instructions. It gives the kernel's answer: -errno in the
// last 4095 values.
TEXT ·rawIoctl(SB), NOSPLIT, $0-32
	MOVQ fd+0(FP), DI
	MOVQ request+8(FP), SI
	MOVQ arg+16(FP), DX
	MOVQ $16, AX // SYS_ioctl
	SYSCALL
	MOVQ AX, ret+24(FP)
	RET
