package main

import (
	"bytes"
	"os"
	"testing"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control/process"
)

// TestSayPlan_auto tells in one line that auto did not take the KVM that is there.
func TestSayPlan_auto(t *testing.T) {
	_, err := os.Stat(kvmPath)
	const line = "engine soft: it has no hardware\n"
	soft := process.Plan{Engine: "soft", EngineWhy: "it has no hardware"}
	tests := []struct {
		name   string
		plan   process.Plan
		domain config.Domain
		quiet  bool
		want   string
	}{
		{"auto", soft, config.Domain{Engine: config.EngineAuto}, false, line},
		{"not given", soft, config.Domain{}, false, line},
		{"quiet", soft, config.Domain{}, true, ""},
		{"asked for", soft, config.Domain{Engine: config.EngineSoft}, false, ""},
		{"deterministic", soft, config.Domain{Deterministic: true}, false, ""},
		{"hardware", process.Plan{Engine: "kvm-amd", EngineWhy: "hardware virtualization"}, config.Domain{}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err != nil && tt.want != "" {
				tt.want = "" // a host without KVM surprises nobody
			}
			var errs bytes.Buffer
			a := &app{err: &errs}
			a.sayPlan(&tt.plan, &tt.domain, &createOptions{quiet: tt.quiet})
			if errs.String() != tt.want {
				t.Errorf("%q, want %q", errs.String(), tt.want)
			}
		})
	}
}
