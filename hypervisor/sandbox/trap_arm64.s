#include "textflag.h"
#include "go_asm.h"

#define SYS_writev 66
#define SYS_rt_sigaction 134
#define SYS_exit_group 94
#define SIGSYS 31

// The signal handler of forbidden calls, as in trap_amd64.s: R0 is the signal, R1 points to its siginfo_t.
TEXT ·trap(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	$const_otherSignal, R3
	MOVW	8(R1), R4
	CMPW	$1, R4 // SYS_SECCOMP
	BNE	write
	MOVD	$const_otherArch, R3
	MOVWU	28(R1), R4
	MOVD	$const_auditArch, R5
	CMPW	R5, R4
	BNE	write
	MOVWU	24(R1), R3
	CMPW	$const_maxCalls, R3
	BLO	write
	MOVD	$const_otherNumber, R3
write:
	MOVD	·lines(SB), R1
	ADD	R3<<4, R1, R1
	MOVD	$2, R0
	MOVD	$1, R2
	MOVD	$SYS_writev, R8
	SVC
die:
	// The filter kills the process for this.
	MOVD	$SIGSYS, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigaction, R8
	SVC
	// Not reached where the filter is in place.
	MOVD	$(128+SIGSYS), R0
	MOVD	$SYS_exit_group, R8
	SVC
	B	die

// func trapPC() uintptr
TEXT ·trapPC(SB), NOSPLIT, $0-8
	MOVD	$·trap(SB), R0
	MOVD	R0, ret+0(FP)
	RET
