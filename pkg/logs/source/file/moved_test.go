package file

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

// under makes the only target a.log, by a path through a folder.
func (b *bench) under(folder string) {
	b.targets.Replace([]discovery.Target{labels.FromStrings("__path__", filepath.Join(b.path(folder), "a.log"), "job", "test")})
}

// A file that becomes a target by another path, such as in another mount, is
// continued, though the path before leads to it as well: while the source runs, and
// after a restart; and there and back.
func TestAFileUnderAnotherPathIsNotReadAgain(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run("running="+strconv.FormatBool(running), func(t *testing.T) {
			b := newBench(t)
			if err := os.Mkdir(b.path("one"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("one", b.path("two")); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, folder := range []string{"one", "two", "one", "one", "two"} {
				b.under(folder)
				line := strconv.Itoa(i)
				if running {
					b.append("one/a.log", line+"\n")
				}
				if i == 0 || !running {
					b.start()
				}
				if !running {
					b.append("one/a.log", line+"\n")
				}
				want = append(want, line)
				b.wait(want...)
				b.stored(folder+"/a.log", int64(2*len(want)))
				if !running {
					b.end()
				}
			}
		})
	}
}

// A path that is found later than another one to the same file keeps its position.
func TestAPathThatBecomesATargetLaterIsContinued(t *testing.T) {
	b := newBench(t)
	b.append("one.log", "0\n")
	if err := os.Link(b.path("one.log"), b.path("two.log")); err != nil {
		t.Fatal(err)
	}
	b.target("one.log")
	b.start()
	b.wait("0")
	b.stored("one.log", 2)
	b.end()
	b.target("two.log")
	b.start()
	b.append("one.log", "1\n")
	b.wait("0", "1")
	b.stored("two.log", 4)
	b.target("one.log", "two.log")
	b.wait("0", "1", "1")
}

// lead leads a link to another file, or makes it.
func (b *bench) lead(name, to string) {
	b.t.Helper()
	if err := os.Symlink(to, b.path("new")); err != nil {
		b.t.Fatal(err)
	}
	b.rename("new", name)
}

// What has been written to a file to which a link led is read first when the link leads
// elsewhere after a restart.
func TestALinkThatLedElsewhereWhileNobodyReadIsContinued(t *testing.T) {
	b := newBench(t)
	for _, folder := range []string{"one", "two"} {
		if err := os.Mkdir(b.path(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.append("one/1.log", "1\n")
	b.lead("a.log", "one/1.log")
	b.target("a.log")
	b.start()
	b.wait("1")
	b.stored("a.log", 2)
	b.end()
	b.append("one/1.log", "2\n")
	b.append("two/7.log", "3\n")
	b.lead("a.log", "two/7.log")
	b.start()
	b.wait("1", "2", "3")
}

// So it is if the file has been truncated before.
func TestALinkToATruncatedFileThatLedElsewhereWhileNobodyReadIsContinued(t *testing.T) {
	b := newBench(t)
	for _, folder := range []string{"one", "two"} {
		if err := os.Mkdir(b.path(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.append("one/1.log", "first\n")
	b.lead("a.log", "one/1.log")
	b.target("a.log")
	b.start()
	b.wait("first")
	b.stored("a.log", 6)
	b.write("one/1.log", "x\n")
	b.wait("first", "x")
	b.stored("a.log", 2)
	b.end()
	b.append("one/1.log", "2\n")
	b.append("two/7.log", "3\n")
	b.lead("a.log", "two/7.log")
	b.start()
	b.wait("first", "x", "2", "3")
}
