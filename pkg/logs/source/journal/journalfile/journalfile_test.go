package journalfile_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"collector/pkg/logs/source/journal/journalfile"
	"collector/pkg/logs/source/journal/journaltest"
)

const limit = 1 << 20

// content is a file in memory that may change.
type content struct{ data []byte }

func (c *content) ReadAt(b []byte, at int64) (int, error) {
	return bytes.NewReader(c.data).ReadAt(b, at)
}

func (c *content) open(t testing.TB) *journalfile.File {
	t.Helper()
	f, err := c.tryOpen()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (c *content) tryOpen() (*journalfile.File, error) {
	return journalfile.New(c, func() (int64, error) { return int64(len(c.data)), nil }, new(journalfile.Decoder))
}

// variants are the kinds of files that journald writes, and has written.
func variants() map[string]journaltest.Options {
	out := make(map[string]journaltest.Options)
	for _, compact := range []bool{false, true} {
		for _, compression := range []string{"", "xz", "lz4", "zstd"} {
			out[fmt.Sprintf("compact=%t,%s", compact, compression)] = journaltest.Options{
				Compact: compact, Compression: compression, FileID: 1, MachineID: 2, BootID: 3, SeqnumID: 4,
			}
		}
	}
	return out
}

func fieldsOf(i int) []string {
	return []string{
		"PRIORITY=" + strconv.Itoa(i%8), "_HOSTNAME=host", "MESSAGE=entry " + strconv.Itoa(i),
		"LONG=" + strings.Repeat(fmt.Sprintf("text %d, ", i), i%40), "EMPTY=", "BINARY=a\nb\x00=\xff",
	}
}

func write(w *journaltest.Writer, from, to int) {
	for i := from; i < to; i++ {
		w.Append(uint64(1e15+1000*i), uint64(1000*i), fieldsOf(i)...)
	}
}

// readAll reads what is there, skipping what is damaged.
func readAll(t testing.TB, f *journalfile.File) (entries []journalfile.Entry, lost uint64) {
	t.Helper()
	for {
		e, err := f.Next()
		switch {
		case err == nil:
			entries = append(entries, e)
		case errors.Is(err, io.EOF):
			return entries, lost
		default:
			lost += f.Skip()
		}
	}
}

func textOf(t testing.TB, f *journalfile.File, e journalfile.Entry) []string {
	t.Helper()
	fields, bad, err := f.Fields(nil, e, limit)
	if err != nil || bad > 0 {
		t.Fatalf("entry %d: %d bad fields, %v", e.Seqnum, bad, err)
	}
	var out []string
	for _, field := range fields {
		if !field.Whole || field.Size != int64(len(field.Value)) {
			t.Errorf("entry %d: %s has %d bytes, and is said to have %d", e.Seqnum, field.Name, len(field.Value), field.Size)
		}
		out = append(out, field.Name+"="+field.Value)
	}
	return out
}

func TestEveryKindOfFileIsRead(t *testing.T) {
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) {
			w := journaltest.NewWriter(o)
			write(w, 0, 200)
			c := &content{w.Bytes()}
			f := c.open(t)
			entries, lost := readAll(t, f)
			if len(entries) != 200 || lost != 0 {
				t.Fatalf("%d entries, %d lost, want 200 and none", len(entries), lost)
			}
			for i, e := range entries {
				if got := textOf(t, f, e); !slices.Equal(got, fieldsOf(i)) {
					t.Fatalf("entry %d has %q, want %q", i, got, fieldsOf(i))
				}
				if e.Seqnum != uint64(i+1) || e.Realtime != uint64(1e15+1000*i) || e.Monotonic != uint64(1000*i) {
					t.Errorf("entry %d: %+v", i, e)
				}
			}
			h := f.Header()
			if h.Compact != o.Compact || h.State != journalfile.Online || h.FileID.String() != strings.Repeat("01", 16) || h.HeadRealtime != 1e15 {
				t.Errorf("header %+v", h)
			}
		})
	}
}

func TestAFileThatGrowsIsFollowed(t *testing.T) {
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) {
			w := journaltest.NewWriter(o)
			c := &content{slices.Clone(w.Bytes())}
			f := c.open(t)
			n := 0
			for _, more := range []int{0, 1, 2, 3, 20, 1, 100} {
				write(w, n, n+more)
				c.data = slices.Clone(w.Bytes())
				if got, _ := readAll(t, f); len(got) != 0 {
					t.Fatalf("%d entries before the header was read again", len(got))
				}
				if err := f.Refresh(); err != nil {
					t.Fatal(err)
				}
				got, lost := readAll(t, f)
				if len(got) != more || lost != 0 {
					t.Fatalf("%d entries, %d lost, want %d", len(got), lost, more)
				}
				for i, e := range got {
					if text := textOf(t, f, e); !slices.Equal(text, fieldsOf(n+i)) {
						t.Errorf("%q", text)
					}
				}
				n += more
				f.Release()
			}
		})
	}
}

func TestAPositionIsResumedFrom(t *testing.T) {
	w := journaltest.NewWriter(journaltest.Options{FileID: 1, FirstSeqnum: 50})
	write(w, 0, 100)
	c := &content{w.Bytes()}
	entries, _ := readAll(t, c.open(t))
	for i, e := range entries {
		f := c.open(t)
		f.Resume(e.Position)
		if got, _ := readAll(t, f); len(got) != len(entries)-i-1 {
			t.Fatalf("after entry %d come %d entries", i, len(got))
		}
		// The number counts where the place is wrong.
		p := e.Position
		p.Offset, p.Entries = p.Offset+8, p.Entries/2
		f.Resume(p)
		if got, _ := readAll(t, f); len(got) != len(entries)-i-1 {
			t.Fatalf("after number %d come %d entries", e.Seqnum, len(got))
		}
		f.SeekAfter(func(other journalfile.Entry) bool { return other.Realtime < e.Realtime })
		if got, err := f.Next(); err != nil || got.Position != e.Position {
			t.Errorf("the first entry from the time of entry %d on is %+v, %v", i, got, err)
		}
	}
	f := c.open(t)
	f.SeekAfter(func(journalfile.Entry) bool { return true })
	if got, _ := readAll(t, f); len(got) != 0 || f.Position() != entries[99].Position {
		t.Errorf("%d entries after the last; position %+v", len(got), f.Position())
	}
}

func TestLongFieldsAreCutAndTheirSizeIsKnown(t *testing.T) {
	const size = 300_000
	value := strings.Repeat("0123456789", size/10)
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) {
			w := journaltest.NewWriter(o)
			w.Append(1e15, 1, "MESSAGE="+value, "A=b")
			f := (&content{w.Bytes()}).open(t)
			e, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			fields, bad, err := f.Fields(nil, e, 1000)
			if err != nil || bad != 0 || len(fields) != 2 {
				t.Fatalf("%d fields, %d bad, %v", len(fields), bad, err)
			}
			m := fields[0]
			if m.Whole || m.Value != value[:1000] {
				t.Errorf("the value has %d bytes, whole: %t", len(m.Value), m.Whole)
			}
			known := o.Compression != "xz" // which says so only in its index, at the end
			if known && m.Size != size || !known && m.Size <= 1000 {
				t.Errorf("the size is %d", m.Size)
			}
		})
	}
}

// TestDamageCostsWhatIsDamaged zeroes each object in turn: what it does not hold is
// read.
func TestDamageCostsWhatIsDamaged(t *testing.T) {
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) {
			const n = 15
			w := journaltest.NewWriter(o)
			write(w, 0, n)
			whole := w.Bytes()
			for at := uint64(journaltest.HeaderSize); at < uint64(len(whole)); {
				kind, size := whole[at], binary.LittleEndian.Uint64(whole[at+8:])
				data := slices.Clone(whole)
				clear(data[at : at+size])
				f := (&content{data}).open(t)
				entries, lost := readAll(t, f)
				bad := 0
				for _, e := range entries {
					_, b, err := f.Fields(nil, e, limit)
					if err != nil {
						t.Fatal(err)
					}
					if b > 0 {
						bad++
					}
				}
				switch kind {
				case 1:
					if lost != 0 || bad == 0 {
						t.Errorf("a field at %d: %d entries lost, %d have a bad field", at, lost, bad)
					}
				case 3:
					if len(entries) != n-1 || lost != 1 {
						t.Errorf("an entry at %d: %d entries, %d lost", at, len(entries), lost)
					}
				case 6:
					if len(entries) != n || lost != 0 {
						t.Errorf("an array at %d: %d entries, %d lost", at, len(entries), lost)
					}
				default:
					if len(entries) != n || lost != 0 || bad != 0 {
						t.Errorf("an object of type %d at %d: %d entries, %d lost, %d bad", kind, at, len(entries), lost, bad)
					}
				}
				at += (size + 7) &^ 7
			}
		})
	}
}

// TestEachFlippedBitIsSurvived looks at a small file with every bit changed in turn.
func TestEachFlippedBitIsSurvived(t *testing.T) {
	w := journaltest.NewWriter(journaltest.Options{FileID: 1, Compression: "zstd"})
	write(w, 0, 3)
	whole := w.Bytes()
	for i := range 8 * len(whole) {
		data := slices.Clone(whole)
		data[i/8] ^= 1 << (i % 8)
		check(t, data)
	}
}

func TestATruncatedFileIsReadAsFarAsItGoes(t *testing.T) {
	w := journaltest.NewWriter(journaltest.Options{FileID: 1})
	write(w, 0, 50)
	whole := w.Bytes()
	for size := 0; size < len(whole); size += 40 {
		data := whole[:size]
		f, err := (&content{data}).tryOpen()
		if err != nil {
			if size > journaltest.HeaderSize {
				t.Errorf("%d bytes: %v", size, err)
			}
			continue
		}
		entries, lost := readAll(t, f)
		if h := f.Header(); uint64(len(entries))+lost != h.Entries {
			t.Errorf("%d bytes: %d entries and %d lost of %d", size, len(entries), lost, h.Entries)
		}
		for i, e := range entries {
			if e.Seqnum != uint64(i+1) {
				t.Errorf("%d bytes: entry %d has the number %d", size, i, e.Seqnum)
			}
		}
	}
}

func TestWhatIsNoJournalIsRejected(t *testing.T) {
	w := journaltest.NewWriter(journaltest.Options{FileID: 1})
	newer := slices.Clone(w.Bytes())
	newer[12] |= 1 << 6
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":   {nil, journalfile.ErrNotAJournal},
		"short":   {w.Bytes()[:100], journalfile.ErrNotAJournal},
		"zeros":   {make([]byte, 4096), journalfile.ErrNotAJournal},
		"text":    {bytes.Repeat([]byte("text\n"), 100), journalfile.ErrNotAJournal},
		"a newer": {newer, journalfile.ErrUnsupported},
	} {
		if _, err := (&content{c.data}).tryOpen(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestContentsThatAreReplacedAreNoticed(t *testing.T) {
	w := journaltest.NewWriter(journaltest.Options{FileID: 1})
	write(w, 0, 3)
	c := &content{slices.Clone(w.Bytes())}
	f := c.open(t)
	c.data = journaltest.NewWriter(journaltest.Options{FileID: 2}).Bytes()
	if err := f.Refresh(); !errors.Is(err, journalfile.ErrReplaced) {
		t.Errorf("another file: %v", err)
	}
	c.data = make([]byte, len(c.data))
	if err := f.Refresh(); !errors.Is(err, journalfile.ErrNotAJournal) {
		t.Errorf("zeros: %v", err)
	}
	if f.Header().Entries != 3 {
		t.Error("a failed Refresh has changed the header")
	}
}

func TestCursors(t *testing.T) {
	const text = "s=1954d61180e7432d944a16be5016dd60;i=16;b=43aaa9997e82496aa0aeda706f272f52;m=5f080189;t=6617357f620fe;x=904699fe1394f926"
	c, err := journalfile.ParseCursor(text)
	if err != nil || c.String() != text || c.Seqnum != 0x16 || c.Realtime != 0x6617357f620fe {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{"", "foobar", "s=1954d61180e7432d944a16be5016dd60", "t=x", "s=12;i=1"} {
		if _, err := journalfile.ParseCursor(bad); err == nil {
			t.Errorf("%q is taken as a cursor", bad)
		}
	}
}

// TestRealFilesAreRead reads files that systemd-journald has written, and compares
// them with what journalctl has shown of them.
func TestRealFilesAreRead(t *testing.T) {
	for _, name := range []string{"regular", "compact"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", name+".journal"))
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var want map[string][]string
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			f := (&content{data}).open(t)
			entries, lost := readAll(t, f)
			if len(entries) != len(want) || len(want) < 30 || lost != 0 {
				t.Fatalf("%d entries, %d lost, want %d", len(entries), lost, len(want))
			}
			for _, e := range entries {
				got := textOf(t, f, e)
				for i := range got {
					got[i] = strings.ToValidUTF8(got[i], "\uFFFD") // as JSON has them
				}
				slices.Sort(got)
				if cursor := f.Cursor(e).String(); !slices.Equal(got, want[cursor]) {
					t.Errorf("%s: %q, want %q", cursor, got, want[cursor])
				}
			}
			if h := f.Header(); h.State != journalfile.Archived || h.Compact != (name == "compact") {
				t.Errorf("header %+v", h)
			}
		})
	}
}
