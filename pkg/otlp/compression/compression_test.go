package compression

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"collector/pkg/otlp/otlptest"
)

// FuzzCoding: what is compressed comes back, also through a reused encoder and
// decoder, and after a decoder has met garbage.
func FuzzCoding(f *testing.F) {
	f.Add([]byte{}, byte(0))
	f.Add([]byte("text"), byte(1))
	f.Add(bytes.Repeat([]byte("text"), 50_000), byte(4))
	names := strings.Split(Names, ", ")
	codings := make(map[string]*Coding)
	for _, name := range names {
		codings[name] = New(name, Fastest, 0)
		codings[name+" block"] = New(name, Fastest, 1<<20)
	}
	f.Fuzz(func(t *testing.T, data []byte, which byte) {
		name := names[int(which)%len(names)]
		for _, c := range []*Coding{codings[name], codings[name+" block"]} {
			if r, err := c.Decompress(bytes.NewReader(data)); err == nil { // garbage, most likely
				_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			}
			for range 2 {
				r, err := c.Decompress(bytes.NewReader(otlptest.Compress(t, c, data)))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%s: %d bytes became %d: %v", name, len(data), len(got), err)
				}
			}
		}
	})
}
