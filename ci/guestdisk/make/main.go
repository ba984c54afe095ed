// Command make builds the guest disk and says where it is.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"gozen/ci/guestdisk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d, err := guestdisk.Make(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest-disk:", err)
		os.Exit(1)
	}
	fmt.Printf("kernel = %q\nramdisk = %q\ncmdline = %q\ndisk = [ '%s,raw,xvda,rw' ]\n", d.Kernel, d.Initrd, d.Cmdline, d.Image)
}
