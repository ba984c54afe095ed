package x86

import "fmt"

// Exception vectors (SDM 3A 6.3.1).
const (
	VectorDE  = 0
	VectorDB  = 1
	VectorNMI = 2
	VectorBP  = 3
	VectorOF  = 4
	VectorBR  = 5
	VectorUD  = 6
	VectorNM  = 7
	VectorDF  = 8
	VectorTS  = 10
	VectorNP  = 11
	VectorSS  = 12
	VectorGP  = 13
	VectorPF  = 14
	VectorMF  = 16
	VectorAC  = 17
	VectorMC  = 18
	VectorXM  = 19
)

// Page-fault error code bits (SDM 3A 4.7).
const (
	PFPresent = 1 << 0
	PFWrite   = 1 << 1
	PFUser    = 1 << 2
	PFRsvd    = 1 << 3
	PFFetch   = 1 << 4
)

// Fault is an exception for the guest CPU. It is a value handed back, never panicked.
type Fault struct {
	Vector   uint8
	HasError bool
	Error    uint32
	Addr     uint64 // CR2, for VectorPF
}

// String gives the fault in the manuals' notation, such as #PF(0x2) cr2=0x10.
func (f Fault) String() string {
	name, ok := vectorNames[f.Vector]
	if !ok {
		return fmt.Sprintf("vector %#x", f.Vector)
	}
	s := name
	if f.HasError {
		s += fmt.Sprintf("(%#x)", f.Error)
	}
	if f.Vector == VectorPF {
		s += fmt.Sprintf(" cr2=%#x", f.Addr)
	}
	return s
}

var vectorNames = map[uint8]string{
	VectorDE: "#DE", VectorDB: "#DB", VectorNMI: "NMI", VectorBP: "#BP", VectorOF: "#OF", VectorBR: "#BR",
	VectorUD: "#UD", VectorNM: "#NM", VectorDF: "#DF", VectorTS: "#TS", VectorNP: "#NP", VectorSS: "#SS",
	VectorGP: "#GP", VectorPF: "#PF", VectorMF: "#MF", VectorAC: "#AC", VectorMC: "#MC", VectorXM: "#XM",
}
