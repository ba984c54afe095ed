package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func good() Domain {
	d := Domain{Name: "n", Type: PVH, Kernel: "/k"}
	d.Complete()
	return d
}

func TestComplete(t *testing.T) {
	d := good()
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if d.MemoryMiB != 32 || d.MaxMemoryMiB != 32 || d.VCPUs != 1 || d.OnReboot != Restart || d.OnCrash != Destroy || d.MaxEventChannels != 1023 {
		t.Errorf("%+v", d)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back Domain
	if err := json.Unmarshal(b, &back); err != nil || cmp.Diff(d, back) != "" {
		t.Errorf("JSON changes it: %v %s", err, cmp.Diff(d, back))
	}
}

func TestValidate_names(t *testing.T) {
	for _, n := range []string{"", "a/b", "a\nb", "..", ".", "Domain-0", "\xff", strings.Repeat("x", 256)} {
		d := good()
		d.Name = n
		es := Errors(d.Validate())
		if len(es) != 1 || es[0].Field != "name" || es[0].Fix == "" {
			t.Errorf("%q: %v", n, es)
		}
	}
	for _, n := range []string{"a b", "7", "größe", "-x"} {
		d := good()
		if d.Name = n; d.Validate() != nil {
			t.Errorf("%q was refused", n)
		}
	}
}

func TestValidate_all(t *testing.T) {
	d := Domain{Name: "", Type: "x", UUID: "y", OnCrash: "z", MaxEventChannels: 1, Engine: "e"}
	d.Complete()
	d.MemoryBacking = "swap"
	var fields []string
	for _, e := range Errors(d.Validate()) {
		fields = append(fields, e.Field)
	}
	if diff := cmp.Diff([]string{"name", "type", "kernel", "memory_backing", "on_crash", "max_event_channels", "engine"}, fields); diff != "" {
		t.Error(diff)
	}
}

func TestErrors_wrapped(t *testing.T) {
	e := &Error{Field: "f", What: "w", Why: "y", Fix: "x"}
	got := Errors(errors.Join(fmt.Errorf("outside: %w", e), errors.New("plain")))
	if len(got) != 2 || got[0] != e || got[1].What != "plain" {
		t.Errorf("%v", got)
	}
	if e.Error() != "w: y (x)" {
		t.Error(e.Error())
	}
}

func TestNewUUID(t *testing.T) {
	a, b := NewUUID(), NewUUID()
	if a == b || !ValidUUID(a) || a[14] != '4' {
		t.Errorf("%s %s", a, b)
	}
	for _, s := range []string{"", strings.Repeat("0", 36), a[:35] + "g", a + "0"} {
		if ValidUUID(s) {
			t.Errorf("%q is called valid", s)
		}
	}
}

func TestActionFor(t *testing.T) {
	d := good()
	d.OnWatchdog = Preserve
	for r, want := range map[string]Action{"poweroff": Destroy, "reboot": Restart, "watchdog": Preserve, "crash": Destroy, "soft-reset": SoftReset,
		"suspend": Destroy, "destroyed": Destroy} {
		if got := d.ActionFor(r); got != want {
			t.Errorf("%s: %s", r, got)
		}
	}
}
