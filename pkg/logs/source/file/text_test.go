package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"
)

// utf16 is text in UTF-16 with a byte order mark.
func utf16(t *testing.T, order unicode.Endianness, text string) string {
	t.Helper()
	out, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEncodingsAreDecoded(t *testing.T) {
	f := func(encoding, content string, want ...string) {
		t.Helper()
		b := newBench(t)
		b.change = func(c *Config) { c.Encoding = encoding }
		b.write("a.log", content)
		b.target("a.log")
		b.start()
		b.wait(want...)
	}
	f("utf-16le", "a\x00\x0a\x0a\n\x00b\x00\r\x00\n\x00", "a\u0a0a", "b")
	f("utf-16be", "\x00a\x0a\x0a\x00\n\x00b\x00\r\x00\n", "a\u0a0a", "b")
	f("utf-16", "\x00a\x00\n", "a")
	f("iso-8859-1", "caf\xe9\n", "café")
	f("", "bad \xff\xff byte\n", "bad \ufffd byte")
}

func TestAByteOrderMarkIsNotPartOfTheFirstLine(t *testing.T) {
	little, big := utf16(t, unicode.LittleEndian, "a\r\nb\n"), utf16(t, unicode.BigEndian, "a\r\nb\n")
	long := strings.Repeat("l", 3*chunkSize)
	f := func(encoding, content string, want ...string) {
		t.Helper()
		b := newBench(t)
		b.change = func(c *Config) { c.Encoding = encoding }
		b.write("a.log", content)
		b.target("a.log")
		b.start()
		b.wait(want...)
		b.stored("a.log", int64(len(content)))
	}
	f("", "\xef\xbb\xbfa\n\xef\xbb\xbfb\n", "a", "\ufeffb")
	f("", "\xef\xbb\xbf"+long+"\nb\n", long, "b")
	f("", "\xef\xbb\xbf"+strings.Repeat("\x00", padding)+"a\n", "a")
	f("utf-8", "\xef\xbb\xbfa\n", "a")
	f("utf-8", "\xff\xfea\n", "\ufffda") // only what is configured
	f("", little, "a", "b")
	f("", big, "a", "b")
	f("", utf16(t, unicode.LittleEndian, long+"\nb\n"), long, "b")
	f("utf-16le", little, "a", "b")
	f("utf-16be", big, "a", "b")
	f("utf-16", little, "a", "b")
	f("utf-16", big, "a", "b")
}

func TestAByteOrderMarkMayBeWrittenAfterTheFileIsOpened(t *testing.T) {
	b := newBench(t)
	b.write("a.log", "")
	b.target("a.log")
	b.start()
	b.stored("a.log", 0)
	content := utf16(t, unicode.LittleEndian, "one\n")
	b.append("a.log", content[:1])
	b.append("a.log", content[1:])
	b.wait("one")
}

func TestAFileIsDecodedByItsByteOrderMarkAfterARestart(t *testing.T) {
	for _, order := range []unicode.Endianness{unicode.LittleEndian, unicode.BigEndian} {
		b := newBench(t)
		first, both := utf16(t, order, "one\n"), utf16(t, order, "one\ntwo\n")
		b.write("a.log", first)
		b.target("a.log")
		b.start()
		b.wait("one")
		b.stored("a.log", int64(len(first)))
		b.end()
		b.append("a.log", both[len(first):])
		b.start()
		b.wait("one", "two")
		b.stored("a.log", int64(len(both)))
	}
}

func TestEachFileOfARotationIsDecodedByItsByteOrderMark(t *testing.T) {
	b := newBench(t)
	first, both := utf16(t, unicode.LittleEndian, "1\n"), utf16(t, unicode.LittleEndian, "1\n2\n")
	b.write("a.log", first)
	b.target("a.log")
	b.start()
	b.wait("1")
	b.stored("a.log", int64(len(first)))
	b.end()
	b.append("a.log", both[len(first):])
	b.rename("a.log", "a.log.1")
	b.write("a.log", utf16(t, unicode.BigEndian, "3\n"))
	b.start()
	b.wait("1", "2", "3")
	b.rename("a.log", "a.log.2")
	b.write("a.log", "\xef\xbb\xbf4\n")
	b.wait("1", "2", "3", "4")
}

func TestATruncatedFileIsDecodedByItsNewByteOrderMark(t *testing.T) {
	b := newBench(t)
	b.write("a.log", utf16(t, unicode.LittleEndian, "first\nsecond\n"))
	b.target("a.log")
	b.start()
	b.wait("first", "second")
	b.write("a.log", utf16(t, unicode.BigEndian, "3\n"))
	b.wait("first", "second", "3")
	b.write("a.log", "\xef\xbb\xbflonger than what was there before\n")
	b.wait("first", "second", "3", "longer than what was there before")
}

func TestAByteOrderMarkAloneIsNoLineAndRecognizesNoFile(t *testing.T) {
	b := newBench(t)
	b.write("a.log.1", "\xef\xbb\xbfold\n")
	b.write("a.log", "\xef\xbb\xbf")
	b.target("a.log")
	b.start()
	b.stored("a.log", 0)
	b.write("a.log", "") // truncates, and keeps the inode
	b.write("a.log", "new\n")
	b.wait("new")
	b.write("a.log", "\xef\xbb\xbf")
	b.until("the mark is seen", func() bool {
		all := b.source.Tails()
		return len(all) == 1 && all[0].Size == 3 && all[0].ReadOffset == 0
	})
	b.rename("a.log", "a.log.2")
	b.write("a.log", "next\n")
	b.wait("new", "next")
	b.until("the old file is closed", func() bool {
		all := b.source.Tails()
		return len(all) == 1 && all[0].Rotated == 0
	})
	b.wait("new", "next")
}

func TestTheLastLineOfARotatedFileIsDecodedWithoutALineEnd(t *testing.T) {
	for _, order := range []unicode.Endianness{unicode.LittleEndian, unicode.BigEndian} {
		b := newBench(t)
		b.write("a.log", utf16(t, order, "whole\nlast"))
		b.target("a.log")
		b.start()
		b.wait("whole")
		if err := os.Remove(b.path("a.log")); err != nil {
			t.Fatal(err)
		}
		b.wait("whole", "last")
	}
}

// Alloy 1.12 has a position between the two bytes of a line end.
func TestAPositionWithinACharacterIsMovedToTheNext(t *testing.T) {
	b := newBench(t)
	b.write("a.log", utf16(t, unicode.LittleEndian, "1\n2\n"))
	if err := os.MkdirAll(b.storage, 0o700); err != nil {
		t.Fatal(err)
	}
	positions := "positions:\n  ? path: " + b.path("a.log") + "\n    labels: '{job=\"test\"}'\n  : \"5\"\n"
	if err := os.WriteFile(filepath.Join(b.storage, alloyFile), []byte(positions), 0o600); err != nil {
		t.Fatal(err)
	}
	b.target("a.log")
	b.start()
	b.wait("2")
}

func TestChangingTheEncodingGoesOnWithWholeCharacters(t *testing.T) {
	b := newBench(t)
	b.change = func(c *Config) { c.Encoding = "iso-8859-1" }
	content := "1\x00\n\x002\x00\n\x00"
	b.write("a.log", content[:3])
	b.target("a.log")
	b.start()
	b.wait("1\x00")
	b.stored("a.log", 3)
	b.end()
	b.append("a.log", content[3:])
	b.change = func(c *Config) { c.Encoding = "utf-16le" }
	b.start()
	b.wait("1\x00", "2")
}
