package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/logs/logstest"
	"collector/pkg/logs/source/journal/journaltest"
)

// cursorOf is the cursor of the entry with a number, as journalctl shows it.
func cursorOf(seqnum int, realtime uint64) string {
	return fmt.Sprintf("s=%s;i=%x;b=%s;m=%x;t=%x;x=%x", strings.Repeat("04", 16), seqnum, strings.Repeat("03", 16), realtime-1e15, realtime, realtime^uint64(seqnum))
}

func (b *bench) leave(path, text string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func TestAnotherProgramsPositionIsContinued(t *testing.T) {
	const alloy = "positions:\n  ? path: %s\n    labels: '%s'\n  : %q\n"
	for name, leave := range map[string]func(b *bench, cursor string){
		"Alloy": func(b *bench, cursor string) {
			b.leave(filepath.Join(b.storage, alloyFile), fmt.Sprintf(alloy, "cursor-loki.source.journal.test", "", cursor))
		},
		"Alloy, which took it over": func(b *bench, cursor string) {
			b.leave(filepath.Join(b.storage, alloyFile), fmt.Sprintf(alloy, "cursor-loki.source.journal.test", "{}", cursor))
		},
		"Promtail": func(b *bench, cursor string) {
			b.leave(filepath.Join(b.disk, "positions.yaml"), "positions:\n  /var/log/x: \"17\"\n  cursor-sys: "+cursor+"\n")
		},
		"an old Promtail": func(b *bench, cursor string) {
			b.leave(filepath.Join(b.disk, "positions.yaml"), "positions:\n  journal-sys: "+cursor+"\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.change = func(c *Config) {
				c.MaxAge = 0 // a position is used, however old it is
				c.LegacyPosition = &LegacyPosition{File: filepath.Join(b.disk, "positions.yaml"), Name: "sys"}
			}
			j := b.file(1, "system@1.journal").log("a", "b")
			cursor := cursorOf(2, b.now)
			j.log("c")
			j.w.Archive()
			j.write()
			// Another file of the same writer, whose numbers go on, and one of another writer.
			b.fileWith(journaltest.Options{FileID: 2, SeqnumID: 4, BootID: 3, FirstSeqnum: 4}, "system.journal").log("d")
			b.fileWith(journaltest.Options{FileID: 3, SeqnumID: 9, BootID: 3}, "remote.journal").log("e")
			leave(b, cursor)
			b.start()
			b.wait("c", "d", "e")
			b.end()
			b.start()
			b.file(4, "user-1.journal").log("f")
			b.wait("c", "d", "e", "f")
		})
	}
}

func TestAnImportedPositionIsStoredBeforeTheFirstEntry(t *testing.T) {
	b := newBench(t)
	j := b.file(1, "system.journal").log("a")
	b.leave(filepath.Join(b.storage, alloyFile), "positions:\n  ? path: cursor-loki.source.journal.test\n    labels: ''\n  : "+cursorOf(1, b.now)+"\n")
	b.start()
	b.until("all is read", func() bool { return b.source.files() == 1 })
	b.end()
	if err := os.Remove(filepath.Join(b.storage, alloyFile)); err != nil {
		t.Fatal(err)
	}
	j.log("b")
	b.start()
	b.wait("b")
}

func TestAPositionThatCannotBeImportedIsReported(t *testing.T) {
	b := newBench(t)
	b.leave(filepath.Join(b.storage, alloyFile), "positions:\n  ? path: cursor-loki.source.journal.test\n    labels: ''\n  : foobar\n")
	b.file(1, "system.journal").log("a")
	b.start()
	b.wait("a")
	if n := logstest.ValueOf(b.source.metrics.damaged); n != 1 {
		t.Errorf("%v files of positions count as damaged, want 1", n)
	}
}

func TestAFileThatAppearedWhileTheCollectorWasDownIsReadFromThePosition(t *testing.T) {
	b := newBench(t)
	j := b.file(1, "system.journal").log("a", "b")
	b.start()
	b.wait("a", "b")
	b.end()
	j.log("c").archive("system@1.journal")
	b.fileWith(journaltest.Options{FileID: 2, SeqnumID: 4, BootID: 3, FirstSeqnum: 4}, "system.journal").log("d")
	b.change = func(c *Config) { c.MaxAge = 0 }
	b.start()
	b.wait("a", "b", "c", "d")
}
