package deliver

import (
	"bytes"
	"math"
	"testing"

	"github.com/golang/snappy"
)

func TestJoinedSnappyBlocksAreOneBlock(t *testing.T) {
	var blocks [][]byte
	var want []byte
	for _, text := range [][]byte{[]byte("a"), nil, bytes.Repeat([]byte("abcdefgh"), 10_000), []byte("abcdefghabcdefghabcdefgh")} {
		blocks, want = append(blocks, snappy.Encode(nil, text)), append(want, text...)
	}
	joined, err := JoinSnappy([]byte("before"), blocks, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	got, err := snappy.Decode(nil, bytes.TrimPrefix(joined, []byte("before")))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
}

func TestDamagedSnappyBlocksAreNotJoined(t *testing.T) {
	good := snappy.Encode(nil, []byte("good"))
	for name, bad := range map[string][]byte{
		"empty": {}, "no end of the length": {0xff}, "too large": {0xff, 0xff, 0xff, 0xff, 0x0f}, "overflow": bytes.Repeat([]byte{0xff}, 11),
	} {
		if _, err := JoinSnappy(nil, [][]byte{good, bad}, 64<<20); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	large := [][]byte{{0xff, 0xff, 0xff, 0xff, 0x0f}, {0xff, 0xff, 0xff, 0xff, 0x0f}}
	if _, err := JoinSnappy(nil, large, math.MaxUint32); err == nil {
		t.Error("a sum beyond the format is joined")
	}
}
