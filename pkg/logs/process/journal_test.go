package process

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// sampleRecords has one of each kind, with the place at which each begins.
func sampleRecords() (data []byte, starts []int) {
	stream := linesAt("stderr", 1, "A1", " a", "")
	stream.Entries[1].Metadata = labels.FromStrings("k", "v")
	add := func(next []byte) { starts, data = append(starts, len(data)), next }
	add(appendInput(data, true, &arrival{labels: stream.Labels, entries: stream.Entries}))
	add(appendFlush(data, 1, stream.Labels))
	add(appendDone(data))
	add(appendHeld(data, 0, Block{Labels: stream.Labels}))
	add(appendHeld(data, 2, Block{Labels: stream.Labels, Time: time.Unix(0, 7), Metadata: labels.FromStrings("a", "b"), Lines: 2, Text: []byte("x\ny"), Extracted: Extracted{initial: stream.Labels}}))
	add(appendRecent(data, stream.Labels, []mark{{time: 1, size: 2, sum: 1<<32 - 1}, {time: -1}}))
	add(appendOut(data, pipeline.Stream{Labels: labels.EmptyLabels(), Entries: stream.Entries}))
	x := Extracted{initial: labels.FromStrings("was", "there")}
	x.Set("text", Text("t"))
	x.Set("number", Number(1.5))
	x.Set("bool", Bool(true))
	x.Set("null", Null())
	x.Delete("was")
	add(appendInput(data, false, &arrival{labels: stream.Labels, entries: stream.Entries[:1], from: []Extracted{x}}))
	add(appendHeld(data, 1, Block{Labels: stream.Labels, Time: time.Unix(0, 7), Lines: 1, Text: []byte("x"), Extracted: x}))
	return data, starts
}

// encodeAgain writes a record that was read.
func encodeAgain(r record) []byte {
	switch r.kind {
	case recordInput, recordInputExtracted:
		return appendInput(nil, r.goesOn, &r.arrival)
	case recordFlush:
		return appendFlush(nil, r.stage, r.labels)
	case recordDone:
		return appendDone(nil)
	case recordHeld, recordHeldExtracted:
		return appendHeld(nil, r.stage, r.held)
	case recordRecent:
		return appendRecent(nil, r.labels, r.marks)
	case recordOut:
		return appendOut(nil, pipeline.Stream{Labels: r.labels, Entries: r.entries})
	}
	panic(fmt.Sprint("BUG: kind ", r.kind))
}

func TestRecordsAreReadAsWritten(t *testing.T) {
	data, starts := sampleRecords()
	var again []byte
	n := 0
	damaged := readJournal(data, func(r record) { again = append(again, encodeAgain(r)...); n++ })
	if damaged != 0 || n != len(starts) {
		t.Errorf("%d of %d records were read, %d places are damaged", n, len(starts), damaged)
	}
	if d := cmp.Diff(data, again); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
}

// wantUndamaged fails unless what is read of damaged is exactly the records
// that lie outside of the bytes from..to of the sample.
func wantUndamaged(t *testing.T, damaged []byte, from, to int) {
	t.Helper()
	data, starts := sampleRecords()
	var want []byte
	for i, start := range starts {
		end := len(data)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if end <= from || start >= to {
			want = append(want, data[start:end]...)
		}
	}
	var got []byte
	places := readJournal(damaged, func(r record) { got = append(got, encodeAgain(r)...) })
	if !bytes.Equal(got, want) {
		t.Fatalf("damage at %d..%d: read\n%q, want\n%q", from, to, got, want)
	}
	if places > 1 || places == 0 && len(want) < len(data) && len(damaged) > len(want) {
		t.Fatalf("damage at %d..%d: %d places are counted", from, to, places)
	}
}

func TestDamageCostsTheDamagedRecord(t *testing.T) {
	data, _ := sampleRecords()
	for i := range data {
		for bit := range 8 {
			damaged := bytes.Clone(data)
			damaged[i] ^= 1 << bit
			wantUndamaged(t, damaged, i, i+1)
		}
		wantUndamaged(t, data[:i], i, len(data))
	}
}

// Whatever bytes take the place of some of the journal's, the records outside
// are read, and nothing else.
func FuzzJournal(f *testing.F) {
	data, _ := sampleRecords()
	f.Add(uint16(0), uint16(1), []byte{})
	f.Add(uint16(20), uint16(60), []byte(journalMagic+"\x05\x00\x00\x00"))
	f.Add(uint16(5), uint16(5), []byte("inserted"))
	f.Fuzz(func(t *testing.T, at, n uint16, junk []byte) {
		from := int(at) % len(data)
		to := min(len(data), from+int(n)%100)
		damaged := append(append(bytes.Clone(data[:from]), junk...), data[to:]...)
		whole := map[string]bool{}
		d, starts := sampleRecords()
		for i, start := range starts {
			end := len(d)
			if i+1 < len(starts) {
				end = starts[i+1]
			}
			if end <= from || start >= to && !(start < from) {
				whole[string(d[start:end])] = true
			}
		}
		readJournal(damaged, func(r record) { delete(whole, string(encodeAgain(r))) })
		// A length in the junk may swallow what follows only with its checksum.
		if len(whole) > 0 {
			t.Errorf("%d undamaged records were not read", len(whole))
		}
	})
}

// What is read of arbitrary bytes is what would be written.
func FuzzRecord(f *testing.F) {
	data, starts := sampleRecords()
	for i, start := range starts {
		end := len(data)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		f.Add(data[start+journalHeader : end])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 {
			return
		}
		sealed := seal(append(make([]byte, journalHeader), body...), 0)
		first, n, ok := readRecord(sealed)
		if !ok {
			return
		}
		if n != len(sealed) {
			t.Fatalf("read %d of %d bytes", n, len(sealed))
		}
		again, _, ok := readRecord(encodeAgain(first))
		if !ok || !bytes.Equal(encodeAgain(again), encodeAgain(first)) {
			t.Errorf("%+v is read again as %+v", first, again)
		}
	})
}

// TestAForgedJournalCostsNoTime has what looks like a record, with a length up to
// the end of the file, at every few bytes.
func TestAForgedJournalCostsNoTime(t *testing.T) {
	good := appendDone(nil)
	data := bytes.Clone(good)
	const size = 16 << 20
	for len(data) < size {
		data = append(data, journalMagic...)
		data = binary.LittleEndian.AppendUint32(data, uint32(size-len(data)-journalHeader))
		data = append(data, 1, 2, 3, 4, 5)
	}
	done := make(chan [2]int, 1)
	go func() {
		records := 0
		damaged := readJournal(data, func(record) { records++ })
		done <- [2]int{records, damaged}
	}()
	select {
	case got := <-done:
		if got[0] != 1 || got[1] == 0 {
			t.Errorf("%d records, %d damaged places", got[0], got[1])
		}
	case <-time.After(time.Minute):
		t.Fatal("reading does not end")
	}
}
