package native

// The window, at the same address in every process, so that a guest can have the same addresses.
const (
	Base     = 0x10000000
	CodeBase = Base          // Run puts the code here
	CodeSize = 0x1000        // bytes for it
	DataBase = Base + 0x1000 // free for the code's operands
	DataSize = 0x4000
	Size     = 0x8000
)

// State is the register state that Run loads and saves. RSP may have any value: the trampoline does not use it while the
// code runs, but signals may be delivered, and need their alternate stack as every Go thread has it.
type State struct {
	GPR    [16]uint64
	RFLAGS uint64    // Run loads only the arithmetic flags
	FX     [512]byte // FXSAVE64 image
}
