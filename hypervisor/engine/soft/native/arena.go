package native

// The arena: a second, larger window for code that may fault. Its addresses are the same in every process, so that a guest can have
// the same ones. The memory around it stays unmapped.
const (
	ArenaBase = 0x20000000
	ArenaSize = 0x20000
	// Two pages that can be executed and read.
	ArenaCode     = ArenaBase + 0x2000
	ArenaCodeSize = 0x2000
	// Two pages that can be read and written, then one that can be read only.
	ArenaData     = ArenaBase + 0x8000
	ArenaDataSize = 0x3000
	ArenaReadOnly = ArenaData + 0x2000
	// One page of stack that can be read and written.
	ArenaStack     = ArenaBase + 0x10000
	ArenaStackSize = 0x1000
	// ArenaExit is where code jumps to end, an address that seldom comes up by chance: its contents are the arena's own.
	ArenaExit = 0x2f5a7000
)

// NoFault is the Vector of a run that reached ArenaExit.
const NoFault = -1

// Context is the state that Arena.Run loads, and the one it found at the end.
type Context struct {
	GPR    [16]uint64
	RIP    uint64
	RFLAGS uint64
	GS     uint64    // base of GS
	FX     [512]byte // FXSAVE64 image
	// What ended the run: an exception's vector, error code and for a page fault its address, or NoFault.
	Vector int
	Error  uint64
	CR2    uint64
}
