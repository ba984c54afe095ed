package svm

import (
	"bytes"
	"strings"
	"testing"
)

func sample(t *testing.T) Figures {
	t.Helper()
	fs := Figures{}
	out := `a note
{"name":"gozen/boot-ms","value":1400}
{"name":"gozen/own-exits","value":1000.5,"detail":{"port":700,"MSR":300}}
{"name":"qemu/own-exits","value":2000,"detail":{"port":600,"HLT":1400}}
{"name":"gozen/port-exit-ns","value":2060}
{"name":"c/port-exit-ns","value":2000}
{"name":"gozen/op/getpid","value":210}
{"name":"bare/op/getpid","value":200}
`
	if err := fs.Parse(Host61, out); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestParse_damaged(t *testing.T) {
	for _, l := range []string{"{\"name\":\"a\",\"val", "{}", "{\"name\":7}"} {
		if err := (Figures{}).Parse("h", "x\n"+l+"\n"); err == nil {
			t.Errorf("%q was taken", l)
		}
	}
}

func TestJudge(t *testing.T) {
	fs := sample(t)
	want := map[string]string{
		"boot":      "target svm-boot 1400 ms (limit 1400) ok",
		"own-exits": "target svm-own-exits 1000.5 exits (limit 1000) MISSED",
		"port-exit": "target svm-port-exit 1.030 times C's (limit 1.03) ok",
		"getpid":    "target svm-getpid 1.050 times the bare kernel's (limit 1.02) MISSED",
		"memory":    "target svm-memory none: not measured (limit 8) MISSED",
		"clock-xen": "target svm-clock-xen none: not measured (limit 1.40) MISSED",
	}
	seen := map[string]bool{}
	for _, x := range Targets() {
		if seen[x.Name] {
			t.Errorf("%s is there twice", x.Name)
		}
		seen[x.Name] = true
		line, ok := x.Judge(fs)
		if w := want[x.Name]; w != "" && line != w {
			t.Errorf("got  %s\nwant %s", line, w)
		}
		if ok != strings.HasSuffix(line, " ok") || strings.Contains(line, "\n") {
			t.Errorf("%v %s", ok, line)
		}
	}
	for name := range want {
		if !seen[name] {
			t.Errorf("there is no target %s", name)
		}
	}
}

// TestTargets holds the limits that were promised.
func TestTargets(t *testing.T) {
	want := map[string]float64{"boot": 1400, "own-exits": 1000, "own-exits-on-6.12": 1000, "user-exits": 700, "user-exits-on-6.12": 350,
		"port-exit": 1.03, "port-exit-on-6.12": 1.03, "memory": 8, "memory-on-6.12": 8, "gc-pause": 0.5, "gc-pause-on-6.12": 0.5, "getpid": 1.02,
		"write_null": 1.02, "mmap_touch16": 1.02, "pipe_pingpong": 1.02, "fork_exec_wait": 1.05, "clock-xen": 1.40, "clock-native": 1.05}
	all := Targets()
	if len(all) != len(want) {
		t.Errorf("%d targets, not %d", len(all), len(want))
	}
	for _, x := range all {
		if want[x.Name] != x.Limit {
			t.Errorf("%s: limit %v, not %v", x.Name, x.Limit, want[x.Name])
		}
		if !x.For(Hosts()) || x.For(nil) {
			t.Errorf("%s is for %v", x.Name, x.Hosts)
		}
	}
}

func TestTable(t *testing.T) {
	fs := sample(t)
	fs["6.1/bare/boot-ms"] = Figure{Name: "6.1/bare/boot-ms", Value: 1300}
	var b bytes.Buffer
	if err := fs.Table(&b, []string{Host61}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for l := range strings.Lines(b.String()) {
		if title, cells, ok := strings.Cut(strings.TrimSpace(l), "  "); ok {
			got[title] = strings.Join(strings.Fields(cells), " ")
		}
	}
	for title, want := range map[string]string{
		"start to init, ms": "1400 - - 1300",
		"by HLT":            "0 - 1400 -",
		"by port":           "700 - 600 -",
		"by MSR":            "300 - 0 -",
		"getpid":            "210 (1.050) 200",
		"KVM_RUN round trip of a port exit, best batch, ns": "2060 2000",
	} {
		if got[title] != want {
			t.Errorf("%s: %q, not %q\n%s", title, got[title], want, b.String())
		}
	}
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sample(t).WriteJSON(&b); err != nil || strings.Count(b.String(), `"name": "6.1/`) != 7 {
		t.Errorf("%v %s", err, b.String())
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64][2]string{0: {"0", "0"}, 1.0304: {"1.03", "1.030"}, 13.824: {"13.82", "13.824"}, 512.34: {"512.3", "512.3"},
		1655.08: {"1655", "1655.1"}, 1e6: {"1000000", "1000000"}} {
		if got := [2]string{number(v), exact(v)}; got != want {
			t.Errorf("%v: %v, not %v", v, got, want)
		}
	}
}
