package otlp

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// FuzzCoding: what is compressed comes back, also through a reused encoder and
// decoder, and after a decoder has met garbage.
func FuzzCoding(f *testing.F) {
	f.Add([]byte{}, byte(0))
	f.Add([]byte("text"), byte(1))
	f.Add(bytes.Repeat([]byte("text"), 50_000), byte(4))
	names := strings.Split(codingNames, ", ")
	codings := make(map[string]*coding)
	for _, name := range names {
		codings[name] = newCoding(name, defaultLevel, 0)
		codings[name+" block"] = newCoding(name, defaultLevel, 1<<20)
	}
	f.Fuzz(func(t *testing.T, data []byte, which byte) {
		name := names[int(which)%len(names)]
		for _, c := range []*coding{codings[name], codings[name+" block"]} {
			if r, err := c.Decompress(bytes.NewReader(data)); err == nil { // garbage, most likely
				_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			}
			for range 2 {
				r, err := c.Decompress(bytes.NewReader(compress(t, c, data)))
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
