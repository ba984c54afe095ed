package enginetest

import "strings"

// testCase is one property of an engine.
type testCase struct {
	name string
	run  func(*C)
}

// cases gives all cases, by area. Names are area/what.
func cases() []testCase {
	var all []testCase
	for _, area := range []struct {
		name string
		list []testCase
	}{
		{"state", stateCases()}, {"exit", exitCases()}, {"irq", interruptCases()}, {"fault", faultCases()}, {"paging", pagingCases()},
		{"memory", memoryCases()}, {"dirty", dirtyCases()}, {"kick", kickCases()}, {"smp", smpCases()}, {"mode", modeCases()},
		{"legacy", legacyCases()},
	} {
		for _, c := range area.list {
			all = append(all, testCase{area.name + "/" + c.name, c.run})
		}
	}
	return all
}

// Names gives the names of an area's cases, for engines that cannot have any of them.
func Names(area string) (names []string) {
	for _, c := range cases() {
		if strings.HasPrefix(c.name, area+"/") {
			names = append(names, c.name)
		}
	}
	return names
}

// on makes a case of a function that wants a machine.
func on(name string, f func(*machine)) testCase {
	return testCase{name, func(c *C) { f(newMachine(c)) }}
}
