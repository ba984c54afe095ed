package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCalm looks at a process of its own: one thread has the slack, and it is not the main one.
func TestCalm(t *testing.T) {
	if os.Getenv("GOZEN_TEST_CALM") == "1" {
		calm()
		tasks, _ := os.ReadDir("/proc/self/task")
		for _, task := range tasks {
			b, _ := os.ReadFile("/proc/" + task.Name() + "/timerslack_ns")
			os.Stdout.WriteString("slack " + string(b))
		}
		return
	}
	if _, err := os.Stat("/proc/self/timerslack_ns"); err != nil {
		t.Skip("this kernel does not let slack be set: ", err)
	}
	c := exec.Command(os.Args[0], "-test.run=^TestCalm$")
	c.Env = append(os.Environ(), "GOZEN_TEST_CALM=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got []string
	for l := range strings.Lines(string(out)) {
		if v, ok := strings.CutPrefix(l, "slack "); ok {
			got = append(got, strings.TrimSpace(v))
		}
	}
	if len(got) < 2+spareThreads || got[0] == monitorSlack || strings.Count(strings.Join(got, " "), monitorSlack) != 1 {
		t.Errorf("the threads' slack: %v", got)
	}
}
