package acpi

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func sum(b []byte) (s byte) {
	for _, x := range b {
		s += x
	}
	return s
}

func ids(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(2 * i)
	}
	return out
}

// tables finds all tables from the RSDP on, as a guest does, and checks each checksum.
func tables(t *testing.T, c Config) map[string][]byte {
	t.Helper()
	b, err := Build(c)
	if err != nil {
		t.Fatal(err)
	}
	at := func(a uint64) []byte {
		d := b[a-uint64(c.Base):]
		d = d[:le.Uint32(d[4:])]
		if sum(d) != 0 {
			t.Errorf("%s: checksum is wrong", d[:4])
		}
		if a%16 != 0 {
			t.Errorf("%s at %#x is not aligned", d[:4], a)
		}
		return d
	}
	if string(b[:8]) != "RSD PTR " || sum(b[:20]) != 0 || sum(b[:36]) != 0 || b[15] != 2 {
		t.Errorf("bad RSDP % x", b[:36])
	}
	x := at(le.Uint64(b[24:]))
	out := map[string][]byte{"XSDT": x}
	for i := 36; i < len(x); i += 8 {
		d := at(le.Uint64(x[i:]))
		out[string(d[:4])] = d
	}
	f := out["FACP"]
	if uint64(le.Uint32(f[40:])) != le.Uint64(f[140:]) {
		t.Error("DSDT and X_DSDT differ")
	}
	out["DSDT"] = at(le.Uint64(f[140:]))
	return out
}

func TestBuild(t *testing.T) {
	tt := tables(t, Config{Base: 0xfc000000, APICIDs: ids(3), SleepPort: 0x600})
	f := tt["FACP"]
	if len(f) != 0x10c || f[8] != 5 {
		t.Errorf("FADT: %#x bytes, revision %d", len(f), f[8])
	}
	if fl := le.Uint32(f[112:]); fl&(1<<20) == 0 {
		t.Errorf("FADT flags %#x: no HW_REDUCED_ACPI", fl)
	}
	if fl := le.Uint16(f[109:]); fl != 0x24 {
		t.Errorf("FADT boot flags %#x", fl)
	}
	if pm := f[56 : 112-3]; !bytes.Equal(pm[:40], make([]byte, 40)) {
		t.Errorf("FADT has PM blocks: % x", pm)
	}
	if !bytes.Equal(f[244:268], []byte{1, 8, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 1, 8, 0, 1, 1, 6, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("sleep registers % x", f[244:268])
	}
	want := []byte{0, 0, 0xe0, 0xfe, 0, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 8, 1, 2, 1, 0, 0, 0, 0, 8, 2, 4, 1, 0, 0, 0}
	if got := tt["APIC"][36:]; !bytes.Equal(got, want) {
		t.Errorf("MADT % x", got)
	}
	want = []byte{8, '\\', '_', 'S', '5', '_', 0x12, 7, 4, 10, 5, 0, 0, 0, 0x10, 6, '\\', '_', 'S', 'B', '_'}
	if got := tt["DSDT"][36:]; !bytes.Equal(got, want) {
		t.Errorf("DSDT % x", got)
	}
}

func TestBuild_noSleepPort(t *testing.T) {
	tt := tables(t, Config{Base: 0xfc000000, APICIDs: ids(1)})
	if f := tt["FACP"]; !bytes.Equal(f[244:268], make([]byte, 24)) {
		t.Errorf("sleep registers % x", f[244:268])
	}
	if bytes.Contains(tt["DSDT"], []byte("_S5_")) {
		t.Error("DSDT has S5")
	}
}

func TestBuild_manyCPUs(t *testing.T) {
	m := tables(t, Config{Base: 0xfc000000, APICIDs: ids(300)})["APIC"]
	small, large := 0, 0
	for p := m[44:]; len(p) > 0; p = p[p[1]:] {
		switch p[0] {
		case 0:
			if p[3] != byte(2*small) || p[2] != byte(small) {
				t.Errorf("entry % x", p[:8])
			}
			small++
		case 9:
			if uid := uint32(small + large); le.Uint32(p[12:]) != uid || le.Uint32(p[4:]) != 2*uid {
				t.Errorf("entry % x", p[:16])
			}
			large++
		}
	}
	if small != 128 || large != 172 {
		t.Errorf("%d local APICs, %d x2APICs", small, large)
	}
}

func TestBuild_errors(t *testing.T) {
	for _, c := range []Config{{Base: 0xfc000000}, {Base: 0xfc000008, APICIDs: ids(1)}, {Base: 1 << 40, APICIDs: ids(1)},
		{Base: 0xfc000000, APICIDs: ids(maxCPUs + 1)}} {
		if _, err := Build(c); err == nil {
			t.Errorf("Build(%#x, %d vCPUs): no error", c.Base, len(c.APICIDs))
		}
	}
}

// TestBuild_iasl disassembles the tables with ACPICA's compiler and compiles the DSDT back.
func TestBuild_iasl(t *testing.T) {
	if _, err := exec.LookPath("iasl"); err != nil {
		t.Skip("needs iasl (Debian package acpica-tools)")
	}
	dir := t.TempDir()
	for sig, b := range tables(t, Config{Base: 0xfc000000, APICIDs: ids(2), SleepPort: 0x600}) {
		f := filepath.Join(dir, sig+".dat")
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("iasl", "-d", f).CombinedOutput()
		if err != nil || strings.Contains(string(out), "Error") || strings.Contains(string(out), "Warning") {
			t.Errorf("iasl -d %s: %v\n%s", sig, err, out)
		}
	}
	out, err := exec.Command("iasl", filepath.Join(dir, "DSDT.dsl")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "0 Errors") {
		t.Errorf("iasl DSDT.dsl: %v\n%s", err, out)
	}
}
