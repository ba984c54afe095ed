package testbed

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// injection gives code that matches.
func injection() []byte {
	var b []byte
	for _, p := range eventInjection {
		if p == wild {
			p = rand.IntN(256)
		}
		b = append(b, byte(p))
	}
	return b
}

func TestMend(t *testing.T) {
	near := injection()
	near[len(near)-1] = 0xe9 // a jump where the call is
	code := bytes.Join([][]byte{{0x89, 0xb3, 0x89}, near, injection(), {0x89, 0xb3}}, nil)
	got, err := mend(code)
	if err != nil {
		t.Fatal(err)
	}
	at := 3 + len(near)
	want := bytes.Clone(code)
	copy(want[at:at+6], nop6)
	if !bytes.Equal(got, want) {
		t.Errorf("%x\nbecame %x", code, got)
	}
	for _, bad := range [][]byte{nil, near, got, bytes.Repeat(injection(), 2)} {
		if _, err := mend(bad); !errors.Is(err, errUnknownQEMU) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}
