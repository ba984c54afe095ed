package report

import (
	"fmt"
	"image/png"
	"os"
	"testing"
)

// palette counts the pixels of every colour of a PNG file.
func palette(t *testing.T, path string) map[string]int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := img.At(x, y).RGBA()
			out[fmt.Sprintf("%02x%02x%02x", r>>8, g>>8, bl>>8)]++
		}
	}
	return out
}
