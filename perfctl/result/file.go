package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Bounds of a result file.
const (
	maxFile    = 256 << 20
	maxSeries  = 10_000
	maxSamples = 10_000_000
)

// Write writes a result file.
func (r *Result) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// ReadFile reads one.
func ReadFile(path string) (*Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Read reads a result file and checks it: what it gives can be shown and compared.
func Read(f io.Reader) (*Result, error) {
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	r := new(Result)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("not a result file of perfctl (-o json makes one): %w", err)
	}
	if r.Format != FormatVersion {
		return nil, fmt.Errorf("not a result file of perfctl (-o json makes one), or of another version: format %d, want %d", r.Format, FormatVersion)
	}
	return r, r.check()
}

func (r *Result) check() error {
	if len(r.Series) > maxSeries {
		return fmt.Errorf("%d series", len(r.Series))
	}
	n := 0
	for i, s := range r.Series {
		if s == nil || s.Mode == "" || s.Workload == "" {
			return fmt.Errorf("series %d has no mode or no workload", i+1)
		}
		for _, round := range s.Rounds {
			n += len(round)
			for _, v := range round {
				if v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
					return fmt.Errorf("%s %s: a sample of %g", s.Mode, s.Workload, v)
				}
			}
		}
		for _, c := range s.Counts {
			if math.IsInf(c.PerOp, 0) || math.IsNaN(c.PerOp) {
				return fmt.Errorf("%s %s: a count of %g", s.Mode, s.Workload, c.PerOp)
			}
		}
	}
	if n > maxSamples {
		return errors.New("too many samples")
	}
	return nil
}
