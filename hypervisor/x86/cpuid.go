package x86

// CPUIDLeaf is one entry of what CPUID answers: the registers for a leaf, and for a subleaf where Indexed.
type CPUIDLeaf struct {
	Leaf, Sub  uint32
	Indexed    bool
	A, B, C, D uint32
}
