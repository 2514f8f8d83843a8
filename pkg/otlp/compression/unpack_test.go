package compression

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// lz4FrameOf compresses data into one frame.
func lz4FrameOf(t *testing.T, data []byte, options ...lz4.Option) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := lz4.NewWriter(&packed)
	if err := w.Apply(options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// Each frame says how large its blocks are: a small one in front must not hide a
// large one.
func TestEveryFrameOfLZ4IsCharged(t *testing.T) {
	text := bytes.Repeat([]byte("some text 0123456789 "), 10_000)
	small := lz4FrameOf(t, text, lz4.BlockSizeOption(lz4.Block64Kb))
	checked := lz4FrameOf(t, text, lz4.BlockSizeOption(lz4.Block256Kb), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(text))))
	large := lz4FrameOf(t, text, lz4.BlockSizeOption(lz4.Block4Mb), lz4.ChecksumOption(false))
	legacy := lz4FrameOf(t, text, lz4.LegacyOption(true))
	skipped := append(binary.LittleEndian.AppendUint32([]byte("\x5a\x2a\x4d\x18"), 3), "xyz"...)
	f := func(name string, block int, frames ...[]byte) {
		t.Helper()
		if got, want := (&Coding{name: "lz4"}).Cost(slices.Concat(frames...)), lz4Cost+2*block; got != want {
			t.Errorf("%s: %d bytes are charged, want %d", name, got, want)
		}
	}
	f("small frames", 64<<10, small, small)
	f("small frames and one that is skipped", 64<<10, skipped, small, skipped)
	f("one with checksums and a size behind it", 256<<10, small, checked, small)
	f("a large one behind others", 4<<20, small, checked, skipped, large)
	f("a legacy one behind others", 8<<20, small, checked, legacy)
	f("what is no frame behind one", 8<<20, small, []byte("something"))
	f("one that is cut off", 64<<10, small[:len(small)-20])
	f("nothing", 0)
}
