package decode

import (
	"testing"
	"unsafe"
)

func TestInst_size(t *testing.T) {
	if n := unsafe.Sizeof(Inst{}); n != 32 {
		t.Fatalf("Inst has %d bytes, want 32", n)
	}
}
