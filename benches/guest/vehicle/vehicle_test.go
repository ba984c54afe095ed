package vehicle

import (
	"bytes"
	"strings"
	"testing"
)

// TestRun measures this machine's own kernel.
func TestRun(t *testing.T) {
	var names []string
	for _, o := range List() {
		if o.Ops < 1 || o.Meaning == "" || !strings.HasPrefix(o.Name, "linux/") {
			t.Errorf("%+v", o)
		}
		names = append(names, o.Name)
	}
	var b bytes.Buffer
	run(&b, names, "pvh", "2")
	for _, n := range names {
		if c := strings.Count(b.String(), "gauge: batch "+n+" ops "); c != 2 {
			t.Errorf("%s: %d batches\n%s", n, c, b.String())
		}
	}
	if !strings.HasPrefix(b.String(), "gauge: hello 1 mode pvh\r\ngauge: fact kernel Linux ") || !strings.HasSuffix(b.String(), "gauge: end\r\n") {
		t.Errorf("%s", b.String())
	}
	if Wanted() {
		t.Error("a test is no guest's first process")
	}
}

func TestCmdline(t *testing.T) {
	want := "console=hvc0 quiet panic=-1 GAUGE=linux/getpid,linux/fork GAUGE_MODE=pv GAUGE_BATCHES=5"
	if got := Cmdline("pv", []string{"linux/getpid", "linux/fork"}, 5); got != want {
		t.Errorf("%q", got)
	}
}
