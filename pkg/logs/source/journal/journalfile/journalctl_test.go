//go:build integration

package journalfile_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"collector/pkg/logs/source/journal/journaltest"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// shown is what journalctl shows of files: the fields of each entry, by cursor.
func shown(t *testing.T, args ...string) map[string][]string {
	t.Helper()
	out, err := exec.Command("journalctl", append([]string{"-o", "json", "--all", "--quiet"}, args...)...).Output()
	if err != nil {
		t.Fatalf("journalctl %q: %v", args, err)
	}
	entries := make(map[string][]string)
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var fields map[string]any
		if err := json.Unmarshal(lines.Bytes(), &fields); err != nil {
			t.Fatal(err)
		}
		var all []string
		for name, value := range fields {
			if strings.HasPrefix(name, "__") {
				continue
			}
			for _, v := range valuesOf(value) {
				all = append(all, name+"="+v)
			}
		}
		slices.Sort(all)
		entries[fields["__CURSOR"].(string)] = all
	}
	return entries
}

// valuesOf reads a value of journalctl's: a text, bytes as numbers, or several of
// them.
func valuesOf(v any) []string {
	list, several := v.([]any)
	if !several {
		return []string{v.(string)}
	}
	var out []string
	var raw []byte
	for _, item := range list {
		if n, ok := item.(float64); ok {
			raw = append(raw, byte(n))
			continue
		}
		out = append(out, valuesOf(item)...)
	}
	if raw != nil || len(list) == 0 {
		out = append(out, string(raw))
	}
	return out
}

// ours is what the reader reads of files.
func ours(t *testing.T, paths ...string) map[string][]string {
	t.Helper()
	out := make(map[string][]string)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := (&content{data}).open(t)
		entries, lost := readAll(t, f)
		if lost > 0 {
			t.Errorf("%s: %d entries lost", path, lost)
		}
		for _, e := range entries {
			text := textOf(t, f, e)
			slices.Sort(text)
			out[f.Cursor(e).String()] = text
		}
	}
	return out
}

func compare(t *testing.T, got, want map[string][]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d entries, journalctl shows %d", len(got), len(want))
	}
	for cursor, fields := range want {
		if !slices.Equal(got[cursor], fields) {
			t.Fatalf("entry %s:\n%.3000q\njournalctl shows\n%.3000q", cursor, got[cursor], fields)
		}
	}
}

func journals(t *testing.T, dir string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(dir, "*", "*.journal"))
	if err != nil || len(out) == 0 {
		t.Fatalf("no journals in %s: %v", dir, err)
	}
	return out
}

func TestWhatJournaldWritesIsReadAsJournalctlShowsIt(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		env    []string
		seal   bool
	}{
		"regular":     {"Compress=no", []string{"SYSTEMD_JOURNAL_COMPACT=0"}, false},
		"compressed":  {"Compress=64", []string{"SYSTEMD_JOURNAL_COMPACT=0"}, false},
		"compact":     {"Compress=64", []string{"SYSTEMD_JOURNAL_COMPACT=1"}, false},
		"unkeyed":     {"Compress=64", []string{"SYSTEMD_JOURNAL_COMPACT=0", "SYSTEMD_JOURNAL_KEYED_HASH=0"}, false},
		"sealed":      {"Seal=yes", nil, true},
		"large files": {"SystemMaxFileSize=64M\nRuntimeMaxFileSize=16M", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := journaltest.StartDaemon(t, "SystemMaxFileSize=512K\n"+c.config, c.env...)
			d.Flush()
			if c.seal {
				d.Stop()
				d.Seal()
				d.Start(c.env...)
			}
			send := d.Sender()
			for i := range 1000 {
				err := send(fmt.Sprintf("MESSAGE=entry %d", i), fmt.Sprintf("PRIORITY=%d", i%8), "TEXT="+strings.Repeat(fmt.Sprintf("%d ", i), i%200),
					"BINARY=a\nb\x00\xff="+strings.Repeat("z", i%100), "TWICE=1", fmt.Sprintf("TWICE=%d", i), "EMPTY=")
				if err != nil {
					t.Fatal(err)
				}
				if i == 500 {
					d.Rotate()
				}
			}
			d.Send("MESSAGE=a long one", "LONG="+strings.Repeat("0123456789", 20_000))
			written(t, d, "a long one")
			compare(t, ours(t, journals(t, d.Disk)...), shown(t, "-D", d.Disk))
			d.Stop()
			compare(t, ours(t, journals(t, d.Disk)...), shown(t, "-D", d.Disk))
			if out, _ := exec.Command("journalctl", "--header", "-D", d.Disk).Output(); c.seal && !strings.Contains(string(out), "SEALED") {
				t.Errorf("no file is sealed:\n%s", out)
			}
		})
	}
}

// written waits until an entry is in the journal.
func written(t *testing.T, d *journaltest.Daemon, message string) {
	t.Helper()
	journaltest.Until(t, "the entry is written", func() bool {
		out, _ := exec.Command("journalctl", "-D", d.Disk, "-o", "cat", "-n", "5").Output()
		return strings.Contains(string(out), message)
	})
}

// TestJournalctlReadsWhatTheTestsWrite keeps the files of the other tests honest:
// this machine's journald writes neither LZ4 nor XZ.
func TestJournalctlReadsWhatTheTestsWrite(t *testing.T) {
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) {
			w := journaltest.NewWriter(o)
			write(w, 0, 100)
			w.Archive()
			path := filepath.Join(t.TempDir(), "test.journal")
			if err := w.Write(path); err != nil {
				t.Fatal(err)
			}
			got := ours(t, path)
			for cursor := range got { // which journalctl adds where an entry has none
				got[cursor] = append(got[cursor], "_BOOT_ID="+strings.Repeat("03", 16))
				slices.Sort(got[cursor])
			}
			compare(t, got, shown(t, "--file", path))
		})
	}
}

// TestRealFilesAreKept makes the files that TestRealFilesAreRead reads, if it is run
// with -update.
func TestRealFilesAreKept(t *testing.T) {
	if !*update {
		t.Skip("runs only with -update")
	}
	for name, env := range map[string]string{"regular": "SYSTEMD_JOURNAL_COMPACT=0", "compact": "SYSTEMD_JOURNAL_COMPACT=1"} {
		d := journaltest.StartDaemon(t, "Compress=64\nSystemMaxFileSize=512K", env)
		d.Flush()
		for i := range 30 {
			d.Send(fmt.Sprintf("MESSAGE=entry %d", i), "TEXT="+strings.Repeat("long ", 5*i), "BINARY=a\nb\x00\xff", "UNIT=a.service")
		}
		written(t, d, "entry 29")
		d.Rotate()
		d.Stop()
		archived, err := filepath.Glob(filepath.Join(d.Disk, "*", "system@*.journal"))
		if err != nil || len(archived) != 1 {
			t.Fatalf("%q, %v", archived, err)
		}
		data, err := os.ReadFile(archived[0])
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(shown(t, "--file", archived[0]), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		for ext, content := range map[string][]byte{".journal": data, ".json": text} {
			if err := os.WriteFile(filepath.Join("testdata", name+ext), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
