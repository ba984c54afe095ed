package vcpu

import (
	"testing"

	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
)

// TestLoop_awaitPauseAtEnd: nobody waits for a vCPU whose loop has ended to stand still.
func TestLoop_awaitPauseAtEnd(t *testing.T) {
	l := &Loop{Dom: &domain.Domain{}, V: &domain.VCPU{}, Eng: noEngine{}}
	l.gate.set(l.Eng)
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

// TestLoop_restWhenNotBlocked: a timer that is overdue keeps no vCPU busy that is paused or down, because Step does not expire it.
func TestLoop_restWhenNotBlocked(t *testing.T) {
	l := &Loop{}
	for _, state := range []uint32{StateDown, StateRunnable} {
		l.state.Store(state)
		if d := l.rest(); d >= 0 {
			t.Errorf("state %d: sleeps %v, want until a kick", state, d)
		}
	}
}
