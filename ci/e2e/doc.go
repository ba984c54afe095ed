// Package e2e tests gozen from outside, with the programs that users have: xl, hypervisor and perfctl are built once, each test
// gets a run folder of its own, and guests are stock Debian kernels or tiny ones made here.
//
// Path: host_test.go has the harness (run a command, follow a domain's console), the other files a subject each. Tests that
// boot a Debian kernel are skipped with -short, or where the kernels are missing; GOZEN_REQUIRE_KERNELS=1 turns the latter
// into a failure. What takes time is waited for with a deadline; nothing asserts that something is quick.
package e2e
