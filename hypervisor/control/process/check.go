package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"gozen/hypervisor/config"
)

// checkHost refuses early what this host cannot give: files that cannot be read, more memory than there is.
func checkHost(d *config.Domain) error {
	var errs []error
	for _, f := range []struct{ field, path string }{{"kernel", d.Kernel}, {"ramdisk", d.Ramdisk}} {
		if f.path != "" {
			errs = append(errs, checkFile(f.field, f.path))
		}
	}
	if total := memTotalMiB(); total > 0 && d.MemoryMiB > total {
		errs = append(errs, &config.Error{Field: "memory", What: fmt.Sprintf("can't allocate %d MiB of memory for domain %q", d.MemoryMiB, d.Name),
			Why: fmt.Sprintf("this host has %d MiB in all", total), Fix: "give a smaller number; memory counts MiB"})
	}
	return errors.Join(errs...)
}

func checkFile(field, path string) error {
	refuse := func(why, fix string) error {
		return &config.Error{Field: field, What: fmt.Sprintf("%s %q cannot be read", field, path), Why: why, Fix: fix}
	}
	// Not by opening it: opening a named pipe would wait for its writer.
	st, err := os.Stat(path)
	switch {
	case err != nil:
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return refuse(err.Error(), "give the path of a file that exists")
	case !st.Mode().IsRegular():
		return refuse("it is not a regular file", "give the path of a "+field+" file")
	case st.Size() == 0:
		return refuse("the file is empty", "give the path of a "+field+" file")
	}
	f, err := os.Open(path)
	if err != nil {
		return refuse(err.(*os.PathError).Err.Error(), "check the permissions of the file")
	}
	return f.Close()
}

func memTotalMiB() uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, "MemTotal:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(v, "kB")), 10, 64)
			return n >> 10
		}
	}
	return 0
}
