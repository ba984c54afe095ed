// Package kernels finds the stock guest files that the demo, the end-to-end tests and the boot benchmark use: four Debian
// kernels and a static busybox.
//
// Path: Open names a folder of files that are there ($GOZEN_KERNELS, else .cache/guests in the repository); Fetch fills the
// latter through apt-get download, without root and without dpkg: deb.go takes a file out of a package.
// Tests only Open; the command ci/kernels/fetch, the demo and the benchmark Fetch.
package kernels
