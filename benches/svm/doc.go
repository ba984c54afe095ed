// Package svm holds what the two halves of bench-svm share: meter, which runs on the emulated host and measures, and bench-svm, which
// starts it and judges.
//
// Path: meter reports Figures as lines of JSON; bench-svm reads them with Parse, gives each the name of its host and side, prints Table and
// holds them against Targets. Names of figures are HOST/SIDE/WHAT, such as 6.1/gozen/boot-ms.
package svm
