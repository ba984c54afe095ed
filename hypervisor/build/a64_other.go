//go:build !arm64

package build

import "errors"

// newA64VM says what isA64Kernel has made sure of.
func (m *Machine) newA64VM() error { return errors.New("arm64 guests need an arm64 host") }
