//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"gozen/hypervisor/engine/soft/fuzz"
)

// report prints what was covered, what was left out, and the targets.
func (p *campaign) report() error {
	took := time.Since(p.start)
	p.progress()
	_, out := fuzz.Forms()
	why := map[string][]string{}
	for i := range out {
		why[out[i].Why] = append(why[out[i].Why], fuzz.Name(&out[i].Encoding))
	}
	fmt.Printf("\nnot compared, %d forms:\n", len(out))
	for _, k := range slices.Sorted(maps.Keys(why)) {
		fmt.Printf("  %s:", k)
		for _, n := range why[k] {
			fmt.Printf(" [%s]", n)
		}
		fmt.Println()
	}
	if len(p.skipped) > 0 {
		fmt.Println("runs not compared:")
		for _, k := range slices.Sorted(maps.Keys(p.skipped)) {
			fmt.Printf("  %8d  %s\n", p.skipped[k], k)
		}
	}
	covered, least := 0, ^uint64(0)
	for i, n := range p.counts {
		if n > 0 {
			covered++
		}
		least = min(least, n)
		if n < p.o.least || n == 0 || p.o.list {
			fmt.Printf("  %8d  %s\n", n, fuzz.Name(&p.forms[i].Encoding))
		}
	}
	fmt.Println()
	ok := true
	target := func(name, figure, limit string, good bool) {
		word := "ok"
		if !good {
			word, ok = "MISSED", false
		}
		fmt.Printf("target %s %s (limit %s) %s\n", name, figure, limit, word)
	}
	target("instructions-compared", fmt.Sprint(p.steps), fmt.Sprintf("at least %d", p.o.n), p.steps >= p.o.n)
	target("differences", fmt.Sprint(p.findings), "0", p.findings == 0)
	target("forms-covered", fmt.Sprintf("%.2f%%", 100*float64(covered)/float64(len(p.forms))), "100%", covered == len(p.forms))
	target("executions-of-the-rarest-form", fmt.Sprint(least), fmt.Sprintf("at least %d", p.o.least), least >= p.o.least)
	target("seconds", fmt.Sprintf("%.0f", took.Seconds()), fmt.Sprint(p.o.seconds), took <= time.Duration(p.o.seconds+1)*time.Second)
	if !ok {
		os.Exit(1)
	}
	return nil
}
