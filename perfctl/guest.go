package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gozen/benches/guest/gauge"
)

func newGuest() *cobra.Command {
	g := &cobra.Command{Use: "guest", Short: "The benchmark guest itself"}
	var s gauge.Spec
	var file string
	kernel := false
	c := &cobra.Command{
		Use:   "export [WORKLOAD...]",
		Short: "Write the benchmark guest to a file, to run it elsewhere",
		Long: `Write the benchmark guest to a file: a kernel for PVH and PV, a disk with a boot sector for HVM. It runs on Xen, where it
prints its lines to the console, and on QEMU, where it prints them to the first serial port and to port 0xe9 and leaves out what
needs Xen.`,
		Example: `  perfctl guest export --type pvh -o gauge.elf
  qemu-system-x86_64 -kernel gauge.elf -nographic -device isa-debug-exit,iobase=0xf4
  perfctl guest export --type hvm -o gauge.img trap/ud2 walk/4k --batches 100`,
		RunE: func(c *cobra.Command, args []string) error {
			if file == "" {
				return fmt.Errorf("say where to with -o FILE")
			}
			if len(args) > 0 {
				s.Workloads = args
			}
			b, err := gauge.Image(s)
			if err == nil && s.Mode == "hvm" && !kernel {
				b, err = gauge.Disk(b)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(file, b, 0o644)
		},
	}
	c.Flags().StringVar(&s.Mode, "type", "pvh", "mode: "+strings.Join(gauge.Modes(), ", "))
	c.Flags().BoolVar(&kernel, "kernel", false, "for hvm: a kernel, not a disk")
	c.Flags().StringVarP(&file, "output", "o", "", "file to write")
	c.Flags().IntVar(&s.Batches, "batches", fullBatches, "batches of each workload")
	c.Flags().IntVar(&s.Repeat, "repeat", 1, "multiply the operations of a batch")
	g.AddCommand(c)
	return g
}
