// Package layers holds the import table of the house as a test: who may import whom, what must stay out of the
// programs, and the rules on cgo, unsafe and init that a compiler does not check. Run it with -count=1: the test cache does not
// see changes in other packages.
package layers
