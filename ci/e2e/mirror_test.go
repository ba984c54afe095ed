package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"testing"
)

// The package of newMirror: what it installs, and where.
const (
	mirrorPackage = "gozen-word"
	mirrorFile    = "usr/share/gozen/word"
	mirrorWord    = "it came over the network"
)

// newMirror serves a Debian archive of one package on port 3 of the host, and gives the line for sources.list.
func newMirror(t *testing.T) string {
	t.Helper()
	deb := debianPackage(t, map[string]string{mirrorFile: mirrorWord + "\n"})
	packages := fmt.Sprintf("Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a word\nFilename: ./word.deb\nSize: %d\nSHA256: %x\n\n",
		mirrorPackage, len(deb), sha256.Sum256(deb))
	release := fmt.Sprintf("Suite: test\nCodename: test\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nArchitectures: all amd64\nSHA256:\n %x %d Packages\n", sha256.Sum256([]byte(packages)), len(packages))
	mux := http.NewServeMux()
	for name, content := range map[string]string{"/Packages": packages, "/Release": release, "/word.deb": string(deb)} {
		mux.HandleFunc(name, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(content)) })
	}
	l, err := net.Listen("tcp", hostAddr+":3")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: mux}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return fmt.Sprintf("deb [trusted=yes] http://%s:3/ ./", hostAddr)
}

// debianPackage makes a package (deb(5)) with files.
func debianPackage(t *testing.T, files map[string]string) []byte {
	t.Helper()
	control := fmt.Sprintf("Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a word\n", mirrorPackage)
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, m := range []struct {
		name    string
		content []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", tarball(t, map[string]string{"control": control})}, {"data.tar.gz", tarball(t, files)}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.name, 0, 0, 0, 0o100644, len(m.content))
		out.Write(m.content)
		if len(m.content)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func tarball(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for name, content := range files {
		for i, c := range name {
			if c == '/' {
				if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "./" + name[:i+1], Mode: 0o755}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./" + name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
