//go:build !(linux && amd64)

package main

import "errors"

func run(*options) error {
	return errors.New("needs an x86-64 Linux host; the recorded results are compared by go test ./hypervisor/engine/soft/fuzz on every host")
}
