#include "textflag.h"

// func enter(entry uintptr)
// Calls the stub at entry, which preserves only SP. R14 and X15 are Go's.
TEXT ·enter(SB), NOSPLIT, $32-8
	MOVQ entry+0(FP), AX
	MOVQ R14, 16(SP)
	MOVQ BP, 24(SP)
	CALL AX
	MOVQ 16(SP), R14
	MOVQ 24(SP), BP
	XORPS X15, X15
	RET
