// Package abi tests the guest interface from inside: guests of a page or two (benches/guest/abi) make real hypercalls, take real
// events and keep what they saw; the test reads it after their end. Hostile guests end in a crash with a reason, or are held, and
// a healthy domain beside them goes on.
//
// Path: run_test.go runs a guest; rows_test.go compares what was tested with the hypercall table; a file per family of calls has
// its guests; hostile_*_test.go have the guests that misbehave. GOZEN_FUZZ_GUEST=5m lengthens the random guests.
package abi
