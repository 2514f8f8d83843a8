package journalfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/pierrec/lz4/v4"

	"collector/pkg/logs/source/journal/journalfile"
	"collector/pkg/logs/source/journal/journaltest"
)

// check reads whatever bytes there are, and reports what can't be.
func check(t *testing.T, data []byte) {
	t.Helper()
	const limit = 4096
	f, err := (&content{data}).tryOpen()
	if err != nil {
		return
	}
	room := f.Header().Entries
	if room > uint64(len(data)) {
		t.Fatalf("%d entries in %d bytes", room, len(data))
	}
	var last journalfile.Entry
	var read, lost uint64
	for steps := uint64(0); ; steps++ {
		if steps > 2*room+4 {
			t.Fatalf("%d steps for %d entries", steps, room)
		}
		e, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if _, again := f.Next(); again == nil || again.Error() != err.Error() {
				t.Fatalf("%v, and then %v", err, again)
			}
			lost += f.Skip()
			continue
		}
		read++
		if e.Offset <= last.Offset || e.Entries <= last.Entries {
			t.Fatalf("%+v comes after %+v", e, last)
		}
		last = e
		fields, _, err := f.Fields(nil, e, limit)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, field := range fields {
			total += len(field.Value)
			if len(field.Value) > limit || field.Size < int64(len(field.Value)) || field.Whole != (field.Size == int64(len(field.Value))) {
				t.Fatalf("%d of %d bytes, whole: %t", len(field.Value), field.Size, field.Whole)
			}
		}
		if total > 1<<20 {
			t.Fatalf("%d bytes of fields", total)
		}
	}
	if read+lost != room {
		t.Fatalf("%d entries are read and %d lost of %d", read, lost, room)
	}
	if read > 0 {
		f.Resume(last.Position)
		if e, err := f.Next(); err == nil && e.Seqnum <= last.Seqnum && e.Offset <= last.Offset {
			t.Fatalf("after %+v comes %+v again", last, e)
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, o := range variants() {
		w := journaltest.NewWriter(o)
		write(w, 0, 9)
		f.Add(w.Bytes())
	}
	real, _ := filepath.Glob("testdata/*.journal")
	for _, name := range real {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 16<<10)])
	}
	f.Fuzz(check)
}

// FuzzLZ4 compares what is decompressed with the library.
func FuzzLZ4(f *testing.F) {
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabcabcabcabcabc"), 10)
	f.Add(bytes.Repeat([]byte("0123456789abcdef"), 100), 1000)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		limit &= 0xffff
		block := make([]byte, lz4.CompressBlockBound(len(text)))
		n, err := lz4.CompressBlock(text, block, nil)
		if err != nil || n == 0 {
			return
		}
		packed := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), block[:n]...)
		got, size, why := journalfile.DecompressLZ4(packed, limit)
		if why != "" || size != int64(len(text)) || !bytes.Equal(got, text[:min(limit, len(text))]) {
			t.Fatalf("%d of %d bytes, %s", len(got), size, why)
		}
		// Anything that is not a block is rejected, or gives no more than requested.
		for i := range block[:n] {
			packed[8+i] ^= 0x55
			if got, _, _ := journalfile.DecompressLZ4(packed, limit); len(got) > limit {
				t.Fatalf("%d bytes of at most %d", len(got), limit)
			}
			packed[8+i] ^= 0x55
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("s=1954d61180e7432d944a16be5016dd60;i=16;b=43aaa9997e82496aa0aeda706f272f52;m=5f080189;t=6617357f620fe;x=904699fe1394f926")
	f.Add("t=1;x")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := journalfile.ParseCursor(text)
		if err != nil {
			return
		}
		if again, err := journalfile.ParseCursor(c.String()); err != nil || again != c {
			t.Fatalf("%q: %+v, and then %+v, %v", text, c, again, err)
		}
	})
}
