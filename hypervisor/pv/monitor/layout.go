package monitor

// Where the monitor lives in the guest's address space: in level-4 slots of Xen's own (public/arch-x86/xen-x86_64.h: slots 256 to 271 are the
// hypervisor's), the same in every level-4 table.
const (
	M2PSlot    = 256 // the machine-to-physical table, which guests read
	HomeSlot   = 257 // text, descriptors, stacks
	FirstSlot  = 256
	LastSlot   = 271
	DirectSlot = 258 // the guest's memory, for the monitor, in the tables of kernels only
	M2P        = 0xffff800000000000
	Home       = 0xffff808000000000
	Direct     = 0xffff810000000000
	Text       = Home
	Levels     = Home + 1<<30 // a byte for each frame: the level of a page that is a page table
	TextPages  = 4
	IDT        = Home + TextPages*0x1000
	firstVCPU  = Home + 0x200000
	vcpuStride = 0x40000
)

// Offsets in a vCPU's window.
const (
	StackAt  = 0       // the block, and the stack above it
	StubAt   = 0x1000  // code of its own: the way in by SYSCALL
	InfoAt   = 0x3000  // the page of vcpu_info
	TSSAt    = 0x2000  // task state segment, stacks for #DF and NMI
	GDTAt    = 0x10000 // 16 pages, the guest's 14 and the reserved one
	LDTAt    = 0x20000 // 16 pages
	LDTPages = 16
	GDTPages = 16
)

// VCPU gives the address of a vCPU's window.
func VCPU(id int) uint64 { return firstVCPU + uint64(id)*vcpuStride }

// VCPUPages is the size of a window in pages.
const VCPUPages = vcpuStride >> 12

// The block, at the foot of a vCPU's stack page: what the way out of the monitor has to do. All but Flags is only looked at if Flags says so.
const (
	BlockFlags  = 0x00
	BlockCR3    = 0x08
	BlockCR2    = 0x10 // of the last page fault
	BlockRSP    = 0x18 // of whoever came by SYSCALL
	BlockFrame  = 0x20 // where the frame of the last entry is: not at Frame for a fault of the monitor's own
	BlockFS     = 0x28 // base addresses
	BlockGS     = 0x30
	BlockKernGS = 0x38
	BlockSel    = 0x40 // selectors, 16 bits each: ds, es, fs, gs
	BlockPage   = 0x48 // address for INVLPG
	BlockLDT    = 0x50 // selector
	BlockCR0    = 0x58
	// What the monitor needs for system calls and iret, which it finishes itself.
	BlockMode      = 0x60 // 1 while a process runs, 0 in the guest's kernel
	BlockKernCR3   = 0x68
	BlockUserCR3   = 0x70
	BlockKernSP    = 0x78 // aligned to 16 bytes
	BlockSyscall   = 0x80 // the callback; 0 makes all system calls leave for the hypervisor
	BlockInfo      = 0x88 // the address of vcpu_info, 0 if there is none yet
	BlockMask      = 0x90 // 1 if the callback masks events
	BlockFault     = 0x98 // the guest's handler of page faults; 0 makes them leave for the hypervisor
	BlockFaultMask = 0xa0 // 1 if it masks events
	BlockFrames    = 0xa8 // the frames that Levels has
	BlockDirect    = 0xb0 // the entry of DirectSlot
	blockScratch0  = 0xb8 // eight words
	// Frame is where the frame of an entry from the guest lies.
	Frame = 0x1000 - FrameWords*8
)

// Flags of the block.
const (
	DoCR3 = 1 << iota
	DoSwapGS
	DoSelectors
	DoFS
	DoGS
	DoKernGS
	DoInvlpg
	DoLLDT
	DoCR0
	DoGlobalFlush
)

// Words of a frame, in the order of Xen's cpu_user_regs.
const (
	R15 = iota
	R14
	R13
	R12
	RBP
	RBX
	R11
	R10
	R9
	R8
	RAX
	RCX
	RDX
	RSI
	RDI
	Vector
	Error
	RIP
	CS
	RFLAGS
	RSP
	SS
	FrameWords
)

// Vectors that the monitor makes up: Syscall for SYSCALL in 64-bit code, Syscall32 in compatibility mode.
const (
	Syscall   = 256
	Syscall32 = 257
)

// EventVector is injected to bring the vCPU out of the guest: an event is due.
const EventVector = 0xf3

// Selectors of the reserved descriptor page (Xen asm-x86/config.h); 0xe02b and the like are in package xen.
const (
	MonitorCS = 0xe008
	MonitorDS = 0xe010
	TSSSel    = 0xe040
	LDTSel    = 0xe050
)
