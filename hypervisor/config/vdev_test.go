package config

import "testing"

func TestDisk_number(t *testing.T) {
	for vdev, want := range map[string]int{"xvda": 51712, "xvdb": 51728, "xvda1": 51713, "xvdp15": 51967, "xvdq": 1<<28 | 16<<8, "xvdaa": 1<<28 | 26<<8,
		"xvda16": 1<<28 | 16, "hda": 768, "hdb": 832, "hdc": 5632, "hdd3": 5699, "sda": 2048, "sdb1": 2065, "d0": 51712, "d0p1": 51713,
		"d17p2": 1<<28 | 17<<8 | 2, "51712": 51712, "0xca00": 51712,
		"": -1, "xvd": -1, "hde": -1, "hda64": -1, "sdq": -1, "sda16": -1, "xvda0": -1, "xvda01": -1, "xvdA": -1, "d": -1, "d1p": -1, "dp1": -1, "xvda256": -1,
		"xvdzzzzzzzzz": -1, "vda": -1, "d1p256": -1} {
		got, ok := (&Disk{Vdev: vdev}).Number()
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, want %d", vdev, got, want)
		}
	}
}
