package soft

import "gozen/hypervisor/x86/decode"

// fpuHandlers gives the handlers of x87, MMX and SSE instructions.
func fpuHandlers() map[decode.Op]handler { return map[decode.Op]handler{} }
