package kernels

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// patterns are the Debian packages by name of the file they give. Of several that match, the newest counts.
func patterns() map[string]string {
	return map[string]string{
		"6.1-cloud":  `linux-image-6\.1\.0-[0-9]+-cloud-amd64-unsigned`,
		"6.1":        `linux-image-6\.1\.0-[0-9]+-amd64-unsigned`,
		"6.12-cloud": `linux-image-6\.12\.[0-9]+\+deb12-cloud-amd64-unsigned`,
		"6.12":       `linux-image-6\.12\.[0-9]+\+deb12-amd64-unsigned`,
		Busybox:      `busybox-static`,
	}
}

// ErrNoPackages wraps the reason why packages cannot be had on this machine.
var ErrNoPackages = errors.New("getting Debian packages failed")

// debianKeyring signs Debian's archive; with it, a machine whose own sources lack the packages can ask Debian's.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

const debianSources = `deb [arch=amd64 signed-by=` + debianKeyring + `] http://deb.debian.org/debian bookworm main
deb [arch=amd64 signed-by=` + debianKeyring + `] http://deb.debian.org/debian-security bookworm-security main
`

// apt runs apt's own tools with one set of package lists.
type apt struct {
	opts []string
	log  io.Writer
}

// lists gives the ways to ask, each a function that prepares it: the system's lists as they are, then lists of our own under dir made from the
// system's sources (no root needed), then the same from Debian's archive.
func lists(dir string, log io.Writer) []func() (*apt, error) {
	base := []string{"-o", "APT::Sandbox::User=" + userName()}
	private := func(extra ...string) *apt {
		return &apt{append(append(base, "-o", "Dir::State="+filepath.Join(dir, "state"), "-o", "Dir::State::status="+os.DevNull,
			"-o", "Dir::Cache="+filepath.Join(dir, "cache"), "-o", "APT::Update::Post-Invoke::=", "-o", "Acquire::Languages=none"), extra...), log}
	}
	return []func() (*apt, error){
		func() (*apt, error) { return &apt{base, log}, nil },
		func() (*apt, error) { a := private(); return a, a.update(dir) },
		func() (*apt, error) {
			if _, err := os.Stat(debianKeyring); err != nil {
				return nil, fmt.Errorf("%s is not installed", debianKeyring)
			}
			list := filepath.Join(dir, "debian.list")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(list, []byte(debianSources), 0o644); err != nil {
				return nil, err
			}
			a := private("-o", "Dir::Etc::SourceList="+list, "-o", "Dir::Etc::SourceParts=/dev/null", "-o", "APT::Architecture=amd64",
				"-o", "APT::Architectures::=amd64")
			return a, a.update(dir)
		},
	}
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
