package remotewrite

import (
	"bytes"
	"math"
	"testing"

	"github.com/golang/snappy"

	"collector/pkg/queue"
)

// FuzzMerge checks that any blocks, joined, hold what they held one by one.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("a"), []byte("b"), []byte(""))
	f.Add(bytes.Repeat([]byte("abcd"), 50_000), []byte("abcdabcdabcd"), bytes.Repeat([]byte{0}, 70_000))
	c := newCodec()
	f.Fuzz(func(t *testing.T, x, y, z []byte) {
		if len(x)+len(y)+len(z) > 300<<10 { // more than snappy and zstd look back
			return
		}
		for _, enc := range []encoding{encodingZstd, encodingSnappy} {
			var blocks []queue.Block
			var want []byte
			for i, raw := range [][]byte{x, y, z} {
				b := batch{raw: raw, items: i + 1, contents: contents{histograms: i, exemplars: len(raw), metadata: 300, metadataBytes: 1}}
				blocks = append(blocks, c.block(&b, enc))
				want = append(want, raw...)
			}
			payload, all, items, err := merge(blocks)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			if enc == encodingSnappy {
				got, err = snappy.Decode(nil, payload)
			} else {
				got, err = c.decoder().DecodeAll(payload, nil)
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes came back as %d, %v", enc, len(want), len(got), err)
			}
			if items != 6 || all != (contents{3, len(want), 900, 3}) {
				t.Errorf("%s: joined blocks hold %d items and %+v", enc, items, all)
			}
		}
	})
}

// FuzzDecode checks that damage is found or harmless: no panic, and no block
// that grows beyond its bound.
func FuzzDecode(f *testing.F) {
	c := newCodec()
	for _, enc := range []encoding{encodingZstd, encodingSnappy} {
		b := batch{raw: bytes.Repeat([]byte("series"), 1000)}
		f.Add(c.block(&b, enc).Data)
	}
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, enc := range []encoding{encodingZstd, encodingSnappy} {
			got, err := c.decode(nil, queue.Block{Data: data, Tag: string(enc)})
			if err == nil && len(got) > maxDecoded {
				t.Errorf("%s: %d bytes came of %d", enc, len(got), len(data))
			}
			if halves, err := c.halve(queue.Block{Data: data, Tag: string(enc)}); err == nil && halves != nil && len(halves) != 2 {
				t.Errorf("%s: cut into %d", enc, len(halves))
			}
		}
	})
}

func TestABombIsRejected(t *testing.T) {
	c := newCodec()
	for _, enc := range []encoding{encodingZstd, encodingSnappy} {
		b := batch{raw: make([]byte, maxDecoded+1)}
		if got, err := c.decode(nil, c.block(&b, enc)); err == nil {
			t.Errorf("%s: a block of %d bytes was decoded", enc, len(got))
		}
	}
}

func TestTimesOfABatchComeFromItsItems(t *testing.T) {
	var b batch
	b.count(&entry{floats: 2, minTime: -5, maxTime: 9})
	b.count(&entry{floats: 1, minTime: 3, maxTime: 3})
	b.count(&entry{exemplars: 1, minTime: 99, maxTime: 99})
	if b.items != 3 || b.minTime != -5 || b.maxTime != 9 {
		t.Errorf("%d items from %d to %d", b.items, b.minTime, b.maxTime)
	}
	block := newCodec().block(&batch{items: 1, minTime: math.MinInt64, maxTime: math.MaxInt64, raw: []byte{1}}, encodingZstd)
	if block.MinTime != math.MinInt64 || block.MaxTime != math.MaxInt64 {
		t.Errorf("times beyond the range became %d and %d", block.MinTime, block.MaxTime)
	}
}
