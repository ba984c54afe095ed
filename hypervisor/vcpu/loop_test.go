package vcpu

import (
	"testing"

	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
)

// TestLoop_awaitPauseAtEnd: nobody waits for a vCPU whose loop has ended to stand still.
func TestLoop_awaitPauseAtEnd(t *testing.T) {
	l := &Loop{Dom: &domain.Domain{}, V: &domain.VCPU{}, Eng: noEngine{}}
	l.parked.L = &l.mu
	l.stop.Store(true)
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if !l.over {
		t.Fatal("the loop has ended and does not say so")
	}
	l.Pause(true)
	l.AwaitPause()
}

type noEngine struct{ engine.VCPU }

func (noEngine) Kick() {}
