#include "textflag.h"
#include "go_asm.h"

#define SYS_writev 20
#define SYS_rt_sigaction 13
#define SYS_exit_group 231
#define SIGSYS 31

// The signal handler of forbidden calls: DI is the signal, SI points to its siginfo_t (asm-generic/siginfo.h: si_code at 8,
// si_syscall at 24, si_arch at 28). It writes line number si_syscall of ·lines, an array of struct iovec, to standard
// error, and ends the process. It calls nothing and loads nothing but the siginfo and the address of the lines: the kernel reads those.
TEXT ·trap(SB), NOSPLIT|NOFRAME, $0-0
	MOVL	$const_otherSignal, AX
	CMPL	8(SI), $1 // SYS_SECCOMP
	JNE	write
	MOVL	$const_otherArch, AX
	MOVL	28(SI), CX
	CMPL	CX, $const_auditArch
	JNE	write
	MOVL	24(SI), AX
	CMPL	AX, $const_maxCalls
	JCS	write
	MOVL	$const_otherNumber, AX
write:
	SHLQ	$4, AX
	MOVQ	·lines(SB), SI
	ADDQ	AX, SI
	MOVL	$2, DI
	MOVL	$1, DX
	MOVL	$SYS_writev, AX
	SYSCALL
die:
	// The filter kills the process for this.
	MOVL	$SIGSYS, DI
	XORL	SI, SI
	XORL	DX, DX
	MOVL	$8, R10
	MOVL	$SYS_rt_sigaction, AX
	SYSCALL
	// Not reached where the filter is in place.
	MOVL	$(128+SIGSYS), DI
	MOVL	$SYS_exit_group, AX
	SYSCALL
	JMP	die

// func trapPC() uintptr
TEXT ·trapPC(SB), NOSPLIT, $0-8
	LEAQ	·trap(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
