package decode

// sseTwoByte, sseMap38 and sseMap3A give the entry of an SSE or MMX opcode for a mandatory
// prefix: 0 none, 1 66, 2 F3, 3 F2.
func sseTwoByte(b uint8, prefix int) entry { return entry{} }
func sseMap38(b uint8, prefix int) entry   { return entry{} }
func sseMap3A(b uint8, prefix int) entry   { return entry{} }

// NumOps is the number of operations, for tables.
const NumOps = int(firstSSE) + 512
