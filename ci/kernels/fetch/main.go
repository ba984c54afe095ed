// Command fetch downloads the guest kernels and busybox as Debian packages into .cache/guests, if they are not there; with
// -modules, also these modules of the kernels named, and those that they need.
//
// Usage: fetch [-try] [-modules M,...] [NAME...]; without names, all that are for amd64. NAME is a kernel such as 6.1-cloud, arm64-6.12 or i386-6.1-pae, busybox,
// busybox-arm64, busybox-i386, grub-pvh or grub-pv. With -try it ends with status 0 also where packages cannot be had.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"gozen/ci/kernels"
)

func main() {
	try := flag.Bool("try", false, "do not fail where packages cannot be had")
	modules := flag.String("modules", "", "modules of the kernels to get as well, with commas between them")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = append(kernels.Names(), kernels.Busybox)
	}
	f, err := kernels.Fetch(os.Stderr, names...)
	for i := 0; *modules != "" && i < len(names) && err == nil; i++ {
		_, err = kernels.FetchModules(os.Stderr, names[i], strings.Split(*modules, ",")...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		if *try && errors.Is(err, kernels.ErrNoPackages) {
			return
		}
		os.Exit(1)
	}
	fmt.Println(f.Dir)
}
