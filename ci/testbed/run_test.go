package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFollower(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var got strings.Builder
	f := follower{path: path, to: &got}
	defer f.close()
	w := func(s string) {
		h, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		fmt.Fprint(h, s)
	}
	for i := range 3 {
		if err := f.poll(); err != nil {
			t.Fatal(err)
		}
		w(fmt.Sprint(i))
	}
	if err := f.poll(); err != nil || got.String() != "012" {
		t.Errorf("%q %v", got.String(), err)
	}
}

func TestLines(t *testing.T) {
	var got strings.Builder
	l := lines{to: &got}
	for _, s := range []string{"a", "b\nc", "\n", "d"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Error(n, err)
		}
		fmt.Fprint(&got, "|")
	}
	l.flush()
	l.flush()
	if got.String() != "|ab\n|c\n||d\n" {
		t.Errorf("%q", got.String())
	}
}

func TestPrune(t *testing.T) {
	top := t.TempDir()
	for i := range keepRuns + 3 {
		d := filepath.Join(top, fmt.Sprintf("svm-%d", i))
		if err := saveFile(filepath.Join(d, "log"), 0o644, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1e9-1000*i), 0) // the last is the oldest
		_ = os.Chtimes(filepath.Join(d, "log"), at, at)
	}
	prune(top)
	left, _ := os.ReadDir(top)
	if len(left) != keepRuns {
		t.Errorf("%d runs are left", len(left))
	}
	if _, err := os.Stat(filepath.Join(top, "svm-0")); err != nil {
		t.Error(err)
	}
}

// fake is a run whose emulator is a shell script that writes to the two ports.
func fake(t *testing.T, script string) (Result, error) {
	t.Helper()
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	r := &run{spec: Spec{Jobs: oneJob}, nonce: "N", dir: dir, log: log, file: log}
	r.listen()
	defer r.close()
	out, err := os.Create(filepath.Join(dir, "emulator"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	e, err := startProcess([]string{"sh", "-c", script}, dir, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("not done in time"))
	defer cancel()
	if strings.Contains(script, "never") {
		cancel()
	}
	if err = r.follows(ctx, e); err == nil {
		err = r.verdict()
	}
	return r.result, err
}

func TestRun_endings(t *testing.T) {
	const begin, end = `printf '\n@@N ready\n\n@@N begin a\nhello\n' >> stream;`, `printf '\n@@N end a %s\n\n@@N over\n' >> stream; exec sleep 1000`
	tests := []struct {
		name, script, want string
		is                 error
	}{
		{"well", begin + strings.Replace(end, "%s", "0", 1), "", nil},
		{"status", begin + strings.Replace(end, "%s", "3", 1), "a ended with status 3", ErrJob},
		{"no job", `printf '\n@@N over\n' >> stream; exec sleep 1000`, "0 of 1 jobs ran", errStream},
		{"panic", begin + `echo '[ 1.0] Kernel panic - not syncing: no init' >> console; exec sleep 1000`, "Kernel panic - not syncing: no init", ErrPanic},
		{"died", begin + `echo bad option; exit 7`, "exit status 7: bad option", ErrDied},
		{"setup", `printf '\n@@N fail no module\n\n@@N over\n' >> stream; exec sleep 1000`, "setting up the emulated host: no module", nil},
		{"timeout", `: never; exec sleep 1000`, "context canceled", context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := fake(t, tt.script)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if strings.HasPrefix(tt.script, begin) && (len(r.Jobs) != 1 || r.Jobs[0].Output != "hello\n") {
				t.Errorf("%+v", r.Jobs)
			}
		})
	}
}
