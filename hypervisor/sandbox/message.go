package sandbox

import "fmt"

//go:generate go run gen.go

// The lines that the handler of forbidden calls can write: one for each number, and three for what has none.
const (
	maxCalls    = 512
	otherNumber = maxCalls
	otherArch   = maxCalls + 1
	otherSignal = maxCalls + 2
	lineCount   = maxCalls + 3
)

// prefix begins every line. control.SandboxDeath looks for it in a dead domain's log.
const prefix = "hypervisor: killed by its sandbox: "

// CallName gives the name of a system call of this host's architecture, "" for a number that has none.
func CallName(n uint32) string {
	if int64(n) < int64(len(callNames)) {
		return callNames[n]
	}
	return ""
}

func line(i int) string {
	switch i {
	case otherNumber:
		return prefix + "a system call of unknown number is not allowed\n"
	case otherArch:
		return prefix + "a system call of another architecture is not allowed\n"
	case otherSignal:
		return "hypervisor: killed by a signal that another process sent (SIGSYS)\n"
	}
	name := CallName(uint32(i))
	if name == "" {
		name = "number"
	}
	return fmt.Sprintf("%ssystem call %s (%d) is not allowed\n", prefix, name, i)
}
