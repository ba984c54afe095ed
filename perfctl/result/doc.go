// Package result is what perfctl has measured: samples and counts by mode and workload, with the environment they were taken in, and the
// statistics over them.
//
// Path: line.go reads what a benchmark guest prints, series.go collects it, summary.go describes one series (quantiles of all samples,
// median and its confidence interval over rounds), compare.go puts two beside each other, file.go reads and writes result files.
// How results come about is perfctl/measure's matter, how they are shown perfctl/report's.
package result
