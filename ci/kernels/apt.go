package kernels

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// patterns are the Debian packages by name of the file they give. Of several that match, the newest counts.
func patterns() map[string]string {
	return map[string]string{
		"6.1-cloud":        `linux-image-6\.1\.0-[0-9]+-cloud-amd64-unsigned`,
		"6.1":              `linux-image-6\.1\.0-[0-9]+-amd64-unsigned`,
		"6.12-cloud":       `linux-image-6\.12\.[0-9]+\+deb12-cloud-amd64-unsigned`,
		"6.12":             `linux-image-6\.12\.[0-9]+\+deb12-amd64-unsigned`,
		Busybox:            `busybox-static`,
		"arm64-6.1-cloud":  `linux-image-6\.1\.0-[0-9]+-cloud-arm64-unsigned`,
		"arm64-6.1":        `linux-image-6\.1\.0-[0-9]+-arm64-unsigned`,
		"arm64-6.12-cloud": `linux-image-6\.12\.[0-9]+\+deb12-cloud-arm64-unsigned`,
		"arm64-6.12":       `linux-image-6\.12\.[0-9]+\+deb12-arm64-unsigned`,
		BusyboxArm64:       `busybox-static`,
		"i386-6.1-pae":     `linux-image-6\.1\.0-[0-9]+-686-pae-unsigned`,
		"i386-6.1":         `linux-image-6\.1\.0-[0-9]+-686-unsigned`,
		BusyboxI386:        `busybox-static`,
		GrubPVH:            `grub-xen-host`,
		GrubPV:             `grub-xen-host`,
	}
}

// arch gives Debian's name of the architecture that a named file is for.
func arch(name string) string {
	switch {
	case strings.HasPrefix(name, "arm64-"), name == BusyboxArm64:
		return "arm64"
	case strings.HasPrefix(name, "i386-"), name == BusyboxI386:
		return "i386"
	}
	return "amd64"
}

// ErrNoPackages wraps the reason why packages cannot be had on this machine.
var ErrNoPackages = errors.New("getting Debian packages failed")

// debianKeyring signs Debian's archive; with it, a machine whose own sources lack the packages can ask Debian's.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// debianSources is a sources.list for the architecture that takes the place of ARCH.
const debianSources = `deb [arch=ARCH signed-by=` + debianKeyring + `] http://deb.debian.org/debian bookworm main
deb [arch=ARCH signed-by=` + debianKeyring + `] http://deb.debian.org/debian-security bookworm-security main
`

// apt runs apt's own tools with one set of package lists.
type apt struct {
	opts []string
	log  io.Writer
}

// lists gives the ways to ask for packages of an architecture, each a function that prepares it: the system's lists as they are (only for
// this machine's own), then lists of our own under dir made from the system's sources (no root and no dpkg --add-architecture
// needed), then the same from Debian's archive.
func lists(dir, arch string, log io.Writer) []func() (*apt, error) {
	base := []string{"-o", "APT::Sandbox::User=" + userName()}
	architecture := []string{"-o", "APT::Architecture=" + arch, "-o", "APT::Architectures::=" + arch}
	private := func(extra ...string) *apt {
		opts := append(slices.Clone(base), "-o", "Dir::State="+filepath.Join(dir, "state"), "-o", "Dir::State::status="+os.DevNull,
			"-o", "Dir::Cache="+filepath.Join(dir, "cache"), "-o", "APT::Update::Post-Invoke::=", "-o", "Acquire::Languages=none")
		return &apt{append(opts, extra...), log}
	}
	system := func() (*apt, error) { return &apt{base, log}, nil }
	ownSources := func() (*apt, error) {
		a := private()
		if arch != runtime.GOARCH {
			a = private(architecture...)
		}
		return a, a.update(dir)
	}
	archive := func() (*apt, error) {
		if _, err := os.Stat(debianKeyring); err != nil {
			return nil, fmt.Errorf("%s is not installed", debianKeyring)
		}
		list := filepath.Join(dir, "debian.list")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(list, []byte(strings.ReplaceAll(debianSources, "ARCH", arch)), 0o644); err != nil {
			return nil, err
		}
		a := private(append(architecture, "-o", "Dir::Etc::SourceList="+list, "-o", "Dir::Etc::SourceParts=/dev/null")...)
		return a, a.update(dir)
	}
	if arch != runtime.GOARCH {
		return []func() (*apt, error){ownSources, archive}
	}
	return []func() (*apt, error){system, ownSources, archive}
}

func userName() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return ""
}

// update fetches the package lists. One source of several that fails does not matter: what counts is what is found then.
func (a *apt) update(dir string) error {
	for _, d := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	fmt.Fprintln(a.log, "fetching package lists into", dir)
	_ = a.run("", "apt-get", "update")
	return nil
}

func (a *apt) run(dir, tool string, args ...string) error {
	c := exec.Command(tool, append(append([]string{}, a.opts...), args...)...)
	c.Dir, c.Stdout, c.Stderr = dir, a.log, a.log
	c.Env = append(os.Environ(), "LC_ALL=C")
	return c.Run()
}

// newest gives the newest package for each wanted name, and the names for which there is none.
func (a *apt) newest(names []string) (found map[string]string, missing []string) {
	c := exec.Command("apt-cache", append(append([]string{}, a.opts...), "pkgnames")...)
	c.Env = append(os.Environ(), "LC_ALL=C")
	out, _ := c.Output()
	return choose(strings.Fields(string(out)), names)
}

func choose(packages, names []string) (found map[string]string, missing []string) {
	found = map[string]string{}
	for _, n := range names {
		re := regexp.MustCompile(`^` + patterns()[n] + `$`)
		for _, p := range packages {
			if old := found[n]; re.MatchString(p) && (old == "" || newer(p, old)) {
				found[n] = p
			}
		}
		if found[n] == "" {
			missing = append(missing, n)
		}
	}
	return found, missing
}

// newer compares the numbers in two package names of the same pattern.
func newer(a, b string) bool {
	re := regexp.MustCompile(`[0-9]+`)
	x, y := re.FindAllString(a, -1), re.FindAllString(b, -1)
	for i := range min(len(x), len(y)) {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m > n
		}
	}
	return false
}

// download puts the package into dir and gives the path of the file.
func (a *apt) download(dir, pkg string) (string, error) {
	old, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	for _, f := range old {
		_ = os.Remove(f)
	}
	if err := a.run(dir, "apt-get", "download", pkg); err != nil {
		return "", fmt.Errorf("apt-get download %s: %w", pkg, err)
	}
	got, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	if len(got) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d files", pkg, len(got))
	}
	return got[0], nil
}
