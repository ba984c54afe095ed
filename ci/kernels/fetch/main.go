// Command fetch downloads the guest kernels and busybox as Debian packages into .cache/guests, if they are not there.
//
// Usage: fetch [-try] [NAME...]; without names, all. With -try it ends with status 0 also where packages cannot be had.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"gozen/ci/kernels"
)

func main() {
	try := flag.Bool("try", false, "do not fail where packages cannot be had")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = append(kernels.Names(), kernels.Busybox)
	}
	f, err := kernels.Fetch(os.Stderr, names...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		if *try && errors.Is(err, kernels.ErrNoPackages) {
			return
		}
		os.Exit(1)
	}
	fmt.Println(f.Dir)
}
