package svm

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Figure is one thing measured. Detail breaks the value down, or adds to it.
type Figure struct {
	Name   string            `json:"name"`
	Value  float64           `json:"value"`
	Detail map[string]uint64 `json:"detail,omitempty"`
}

// Write prints a figure as Parse reads it.
func (f Figure) Write(w io.Writer) error { return json.NewEncoder(w).Encode(f) }

// Figures are figures by name.
type Figures map[string]Figure

// Parse adds the figures found in what a job printed, their names prefixed with host and "/". Lines that hold none are passed over.
func (fs Figures) Parse(host, output string) error {
	for l := range strings.Lines(output) {
		if !strings.HasPrefix(l, "{") {
			continue
		}
		var f Figure
		if err := json.Unmarshal([]byte(l), &f); err != nil || f.Name == "" {
			return fmt.Errorf("a line of figures is damaged: %q: %v", strings.TrimSpace(l), err)
		}
		f.Name = host + "/" + f.Name
		fs[f.Name] = f
	}
	return nil
}

// Value gives a figure's value; ok says that it was measured.
func (fs Figures) Value(name string) (v float64, ok bool) {
	f, ok := fs[name]
	return f.Value, ok
}

// Ratio gives the ratio of two figures.
func (fs Figures) Ratio(of, to string) (float64, bool) {
	a, ok1 := fs.Value(of)
	b, ok2 := fs.Value(to)
	if !ok1 || !ok2 || b == 0 {
		return 0, false
	}
	return a / b, true
}

// WriteJSON prints all figures, by name.
func (fs Figures) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	list := make([]Figure, 0, len(fs))
	for _, n := range slices.Sorted(maps.Keys(fs)) {
		list = append(list, fs[n])
	}
	return e.Encode(list)
}
