package write

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// decode reads a block with the library.
func decode(t testing.TB, b queue.Block) push.PushRequest {
	t.Helper()
	raw, err := snappy.Decode(nil, b.Data)
	if err != nil {
		t.Fatal(err)
	}
	var out push.PushRequest
	if err := out.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return out
}

// What is encoded by hand is what the library encodes, to the byte.
func FuzzEncode(f *testing.F) {
	f.Add(int64(1_700_000_000), int64(123), "a line", "name", "value", uint8(3))
	f.Add(int64(0), int64(0), "", "", "", uint8(0))
	f.Add(int64(-5), int64(999_999_999), strings.Repeat("x", 300), "n", strings.Repeat("y", 200), uint8(200))
	f.Fuzz(func(t *testing.T, seconds, nanos int64, line, name, value string, n uint8) {
		if seconds < -62135596800+1e10 || seconds > 253402300799-1e10 {
			t.Skip() // the library refuses years outside of 1 to 9999
		}
		metadata := labels.EmptyLabels()
		if name != "" && value != "" {
			metadata = labels.FromStrings(name, value)
		}
		var entries []pipeline.Entry
		want := push.Stream{Labels: streamLabelString(metadata)}
		for i := range int(n)%5 + 1 {
			e := pipeline.Entry{Time: time.Unix(seconds, nanos%1e9+int64(i)).UTC(), Line: line, Metadata: metadata}
			entries = append(entries, e)
			var pairs push.LabelsAdapter
			metadata.Range(func(l labels.Label) { pairs = append(pairs, push.LabelAdapter{Name: l.Name, Value: l.Value}) })
			want.Entries = append(want.Entries, push.Entry{Timestamp: e.Time, Line: line, StructuredMetadata: pairs})
		}
		request := push.PushRequest{Streams: []push.Stream{want, want}}
		bytesWant, err := request.Marshal()
		if err != nil {
			t.Skip()
		}
		got := appendStream(appendStream(nil, want.Labels, entries), want.Labels, entries)
		if !bytes.Equal(got, bytesWant) {
			t.Fatalf("got  %x\nwant %x", got, bytesWant)
		}
	})
}

// Merged blocks hold what the blocks hold, one after the other; split ones too.
func FuzzMergeAndSplit(f *testing.F) {
	f.Add("abc", uint8(3), uint8(7))
	f.Add(strings.Repeat("long and compressible ", 100), uint8(9), uint8(1))
	f.Fuzz(func(t *testing.T, line string, n, m uint8) {
		line = line[:min(len(line), 4<<10)] // it is in up to 75 entries, which are cut seven times
		var blocks []queue.Block
		total, wanted := 0, []byte(nil)
		for i := range int(n)%6 + 1 {
			items := int(m)%9 + i + 1
			entries := entriesOf(total, total+items)
			for j := range entries {
				entries[j].Line += line[min(len(line), j):]
			}
			total += items
			raw := appendStream(nil, fmt.Sprintf(`{a="%d"}`, i), entries)
			wanted = append(wanted, raw...)
			blocks = append(blocks, queue.Block{Data: snappy.Encode(nil, raw), Items: items, Tag: "t"})
		}
		merged, err := mergeSnappy(nil, blocks)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := snappy.Decode(nil, merged); err != nil || !bytes.Equal(got, wanted) {
			t.Fatalf("merged %d bytes, want %d: %v", len(got), len(wanted), err)
		}
		whole := queue.Block{Data: merged, Items: total, Tag: "t"}
		parts := []queue.Block{whole}
		for cut := true; cut; {
			cut = false
			var finer []queue.Block
			for _, p := range parts {
				if halves := splitBlock(p); halves != nil {
					cut = true
					finer = append(finer, halves...)
				} else {
					finer = append(finer, p)
				}
			}
			parts = finer
		}
		if len(parts) != total {
			t.Fatalf("%d parts of %d entries", len(parts), total)
		}
		for i, p := range parts {
			r := decode(t, p)
			if p.Items != 1 || p.Tag != "t" || len(r.Streams) != 1 || !r.Streams[0].Entries[0].Timestamp.Equal(at(i)) {
				t.Fatalf("part %d holds %v", i, r)
			}
		}
	})
}

func FuzzWalkRequest(f *testing.F) {
	f.Add(appendStream(nil, `{a="b"}`, entriesOf(0, 3)))
	f.Add([]byte{tagStreams})
	f.Add([]byte{tagStreams, 2, tagEntries, 0x80})
	f.Fuzz(func(t *testing.T, raw []byte) {
		streams, n, err := walkRequest(raw)
		if err != nil {
			return
		}
		var again []byte
		for _, s := range streams {
			again = appendWalked(again, s.labels, s.entries)
		}
		if _, m, err := walkRequest(again); err != nil || m != n {
			t.Fatalf("%d entries became %d: %v", n, m, err)
		}
	})
}
