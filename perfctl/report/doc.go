// Package report shows boots that perfctl/measure took: as a table for people, as JSON, and in the Go benchmark format that
// benchstat and golang.org/x/perf read.
//
// Path: fill a Set; Table, JSON or Bench writes it. Counts are exact and portable; times are named with the engine that
// they belong to. With several runs each figure is given as minimum, median and maximum.
package report
