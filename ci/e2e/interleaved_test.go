package e2e

import (
	"testing"

	"gozen/hypervisor/config"
)

// TestInterleaved_boots boots with four vCPUs on one thread in the host's time, as hosts with weaker memory ordering than x86 do.
func TestInterleaved_boots(t *testing.T) {
	if testing.Short() {
		t.Skip("a boot")
	}
	bootInProcess(t, 4, func(d *config.Domain) { d.Interleaved = true }, nil)
}
