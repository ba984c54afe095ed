package bpf

import "testing"

func TestVerifier(t *testing.T) {
	fs, err := OpenTracefs()
	if err != nil {
		t.Skip(err)
	}
	defer fs.Close()
	t.Log(fs.Where())
	s, refused, err := Open(fs, KVM())
	if err != nil {
		t.Skip(err)
	}
	defer s.Close()
	for _, r := range refused {
		t.Errorf("%s: %v", r.Probe, r.Err)
	}
	for _, r := range s.Start() {
		t.Errorf("%s: %v", r.Probe, r.Err)
	}
}
