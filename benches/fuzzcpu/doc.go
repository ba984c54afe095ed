// Command fuzzcpu compares the software CPU with the processor of this machine on random instructions and blocks, for minutes.
//
// It starts two workers, which are this program again: code that goes wrong takes only a worker with it, and the case it was at is known. What differs is cut down to
// the instructions that matter, printed, and written to a folder. At the end it prints what was covered, what was left out and why, and the targets.
//
//	go run ./benches/fuzzcpu -n 50000000 -seconds 600
//	go run ./benches/fuzzcpu -seed 7 -case 12345        run one case again and show it
package main
