package tailsampling

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

func openedJournal(t *testing.T, dir string) (*journal, []kept) {
	t.Helper()
	j, traces, damaged, err := openJournal(dir)
	if err != nil || damaged > 0 {
		t.Fatalf("%d damaged files, %v", damaged, err)
	}
	t.Cleanup(func() { _ = j.close() })
	return j, traces
}

func appended(t *testing.T, j *journal, trace byte, texts ...string) []ref {
	t.Helper()
	var records []record
	for _, text := range texts {
		records = append(records, record{traceID{trace}, 1, []byte(text)})
	}
	refs, err := j.append(records)
	if err != nil {
		t.Fatal(err)
	}
	return refs
}

func texts(t *testing.T, traces []kept) (out []string) {
	t.Helper()
	for _, k := range traces {
		for _, r := range k.refs {
			data, err := r.read()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d:%s/%d", k.trace[0], data, r.spans))
		}
	}
	return out
}

// What is done stays done, whichever files were removed by then.
func TestTheJournalKeepsWhatIsNotDone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _ := openedJournal(t, dir)
	first := appended(t, j, 1, "a", "b")
	appended(t, j, 2, "c")
	j.current.size = segmentSize // another file begins
	late := appended(t, j, 1, "d", "e")
	if err := j.done(traceID{1}, first); err != nil {
		t.Fatal(err)
	}
	_, traces := openedJournal(t, killed(t, dir))
	if got := fmt.Sprint(texts(t, traces)); got != "[2:c/1 1:d/1 1:e/1]" {
		t.Errorf("got %s", got)
	}
	second, _ := openedJournal(t, killed(t, dir))
	more := appended(t, second, 1, "f") // its number is larger than all before
	if more[0].number <= late[1].number {
		t.Errorf("record %d after %d", more[0].number, late[1].number)
	}
	if err := j.done(traceID{1}, late[:1]); err != nil {
		t.Fatal(err)
	}
	_, traces = openedJournal(t, killed(t, dir))
	if got := fmt.Sprint(texts(t, traces)); got != "[2:c/1 1:e/1]" {
		t.Errorf("got %s", got)
	}
	if n := len(files(t, dir)); n != 2 {
		t.Errorf("%d files", n)
	}
	if err := errors.Join(j.done(traceID{2}, traces[0].refs[:0]), j.done(traceID{1}, late[1:])); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhatIsDoneIsForgotten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _ := openedJournal(t, dir)
	refs := appended(t, j, 1, "a", "b", "c", "d", "e")
	for _, done := range [][]ref{refs[1:3], refs[4:]} {
		if err := j.done(traceID{1}, done); err != nil {
			t.Fatal(err)
		}
	}
	next, traces := openedJournal(t, killed(t, dir))
	if got := fmt.Sprint(texts(t, traces)); got != "[1:a/1 1:d/1]" || next.records != 2 {
		t.Errorf("got %s, %d records", got, next.records)
	}
}

func TestFilesOfWhichNothingIsNeededAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _ := openedJournal(t, dir)
	var all [][]ref
	for i := range 4 {
		all = append(all, appended(t, j, byte(i), "text"))
		j.current.size = segmentSize
	}
	for _, step := range []struct{ done, files int }{{1, 4 + 1}, {0, 2 + 1}, {3, 2 + 1}, {2, 0}} {
		if err := j.done(traceID{byte(step.done)}, all[step.done]); err != nil {
			t.Fatal(err)
		}
		if n := len(files(t, dir)); n != step.files {
			t.Errorf("%d files once %d is done, not %d", n, step.done, step.files)
		}
		for _, s := range j.segments {
			s.size = 100 // the last one has room
		}
	}
	if j.records != 0 || j.current != nil {
		t.Errorf("%d records are left", j.records)
	}
}

// Damage costs what comes after it in its file, and is logged.
func TestADamagedJournalIsReadAsFarAsItIsWhole(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"torn":    func(data []byte) []byte { return data[:len(data)-3] },
		"changed": func(data []byte) []byte { data[len(data)-1] ^= 1; return data },
		"forged":  func(data []byte) []byte { return append(data, bytes.Repeat([]byte{0xff}, 100)...) },
	} {
		dir := filepath.Join(t.TempDir(), "x")
		j, _ := openedJournal(t, dir)
		for _, span := range []string{"aa keep", "bb keep"} {
			data, err := request(t, span).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.append([]record{{traceID{span[0]}, 1, data}}); err != nil {
				t.Fatal(err)
			}
		}
		file := files(t, dir)[0]
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, damage(data), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		synctest.Test(t, func(t *testing.T) {
			var to sink
			_, stop := start(t, &to, component.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil)
			synctest.Wait()
			stop()
			want := "aa: keep"
			if name == "forged" {
				want += ", bb: keep"
			}
			expect(t, name, to.text(), want)
		})
		if !strings.Contains(log.String(), "damaged") {
			t.Errorf("%s: the log: %s", name, &log)
		}
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("%s: %q are left", name, left)
		}
	}
}

func TestAFullJournalAndABadFolderAreErrorsForTheSender(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _ := openedJournal(t, dir)
	one := []record{{traceID{1}, 1, []byte("x")}}
	j.size = journalLimit
	if _, err := j.append(one); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	j.size = 0
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := j.append(one); err == nil || pipeline.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := openJournal(dir); err == nil {
		t.Error("a file is taken for the folder")
	}
}

// What comes behind a torn record is in another file.
func TestAWriteThatFailsCostsItsRequestAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _ := openedJournal(t, dir)
	appended(t, j, 1, "a")
	j.current.file.Close()
	if _, err := j.append([]record{{traceID{1}, 1, []byte("b")}}); err == nil || pipeline.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	appended(t, j, 1, "c")
	_, traces := openedJournal(t, killed(t, dir))
	if got := fmt.Sprint(texts(t, traces)); got != "[1:a/1 1:c/1]" {
		t.Errorf("got %s", got)
	}
}

func TestRecordsBeyondTheMemoryLimitAreRefused(t *testing.T) {
	p, _ := start(t, &sink{}, component.Options{}, nil)
	write(t, p, "aa one")
	p.limit = 2
	if err := p.WriteOTLP(t.Context(), request(t, "bb one", "cc one")); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	write(t, p, "bb one")
}

func FuzzJournal(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, kindSpans, traceID{1}, 3, 2, []byte("text")), kindDone, traceID{1}, 3, 0, make([]byte, 8)))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(filepath.Join(dir, "0"+suffix), data, 0o600)); err != nil {
			t.Fatal(err)
		}
		j, traces, _, err := openJournal(dir)
		if err != nil {
			t.Fatal(err)
		}
		n := len(texts(t, traces))
		if n != j.records {
			t.Errorf("%d records, counted %d", n, j.records)
		}
		for _, k := range traces {
			if err := j.done(k.trace, k.refs); err != nil {
				t.Error(err)
			}
		}
		if left := files(t, dir); len(left) > 0 || j.records != 0 {
			t.Errorf("%q are left", left)
		}
	})
}
