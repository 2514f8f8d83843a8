package syslog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// split is what frames makes of a stream, and how it ends.
func split(r io.Reader, longest int) (out []string, err error) {
	f := &frames{r: r, max: longest, lineEnd: '\n'}
	for {
		m, err := f.next()
		if errors.Is(err, errTooLong) {
			out = append(out, "too long: "+strconv.Itoa(m.size))
			continue
		}
		if err != nil {
			return out, err
		}
		out = append(out, string(m.text))
	}
}

func TestStreamsAreSplitIntoMessages(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		"<1>a\n<2>b\n":           {"<1>a", "<2>b"},
		"<1>a\n<2>b":             {"<1>a", "<2>b"},
		"<1>a\r\n<2>b\r\n":       {"<1>a\r", "<2>b\r"},
		"<1>a\n\tat x\n\n<2>b\n": {"<1>a\n\tat x\n", "<2>b"},
		"<1>a<2>b\n":             {"<1>a<2>b"},
		"4 <1>a5 <2>bc":          {"<1>a", "<2>bc"},
		"4 <1>a\n5 <2>\nc\n":     {"<1>a", "<2>\nc"},
		"9 <1>abcdef4 <2>b":      {"too long: 9", "<2>b"},
		"4 none4 <2>b":           {"none", "<2>b"},
	} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			got, err := split(r, 8)
			if err != io.EOF {
				t.Errorf("%q: %v", text, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q: %s", text, diff)
			}
		}
	}
}

func TestARawStreamHasLines(t *testing.T) {
	for end, text := range map[byte]string{'\n': "CEF:0|a\n<1>b\n12 c\n\nd", 0: "CEF:0|a\x00<1>b\x0012 c\x00\x00d"} {
		f := &frames{r: strings.NewReader(text), max: 8, raw: true, lineEnd: end}
		var got []string
		for {
			m, err := f.next()
			if err != nil {
				break
			}
			got = append(got, string(m.text))
		}
		if diff := cmp.Diff([]string{"CEF:0|a", "<1>b", "12 c", "", "d"}, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestABrokenStreamEndsWithWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"x<1>a\n":               "not with 'x'",
		"\x16\x03\x01":          "TLS",
		"01 <1>a":               "is not the length",
		"4<1>a":                 "is not the length",
		"GET / HTTP/1.1\r\n":    "HTTP",
		"4 <1>a / HTTP/1.1\r\n": "not with ' '",
		"12345678901 <1>a":      "is not the length",
		"4 <1>":                 io.ErrUnexpectedEOF.Error(),
		"4":                     io.ErrUnexpectedEOF.Error(),
		"99 <1>":                io.ErrUnexpectedEOF.Error(),
	} {
		if _, err := split(strings.NewReader(text), 8); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestALongLineIsCutAndTheNextOneIsNot(t *testing.T) {
	long := "<1>" + strings.Repeat("x", maxLine+100_000)
	f := &frames{r: strings.NewReader(long + "\n<2>b\n" + long + "\nmore\n<3>c\n"), max: 8, lineEnd: '\n'}
	claimed := 0
	f.grow = func(n int) error { claimed += n; return nil }
	for i, want := range []struct {
		text string
		size int
	}{{long[:maxLine], len(long)}, {"<2>b", 4}, {long[:maxLine], len(long) + len("\nmore")}, {"<3>c", 4}} {
		m, err := f.next()
		if err != nil || string(m.text) != want.text || m.size != want.size {
			t.Fatalf("message %d: %d bytes of %d, want %d of %d: %v", i, len(m.text), m.size, len(want.text), want.size, err)
		}
	}
	if _, err := f.next(); err != io.EOF {
		t.Error(err)
	}
	if len(f.buf) != frameBuffer || claimed != 0 {
		t.Errorf("the buffer has %d bytes, and %d are claimed", len(f.buf), claimed)
	}
}

func TestALineIsOverWhenNothingComes(t *testing.T) {
	late := &scripted{parts: []string{"<1>a\n", "", "<2>b\nmore\n", ""}}
	f := &frames{r: late, max: 8, lineEnd: '\n', until: func(d time.Duration) { late.waits = append(late.waits, d) }}
	for _, want := range []string{"<1>a", "<2>b\nmore"} {
		if m, err := f.next(); err != nil || string(m.text) != want {
			t.Fatalf("%q, want %q: %v", m.text, want, err)
		}
	}
	if _, err := f.next(); err != io.EOF {
		t.Error(err)
	}
	if diff := cmp.Diff([]time.Duration{0, lineWait, 0, lineWait, 0}, late.waits); diff != "" {
		t.Error(diff)
	}
}

// scripted gives one part after another; an empty one is a deadline.
type scripted struct {
	parts []string
	waits []time.Duration
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	part := s.parts[0]
	s.parts = s.parts[1:]
	if part == "" {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(p, part), nil
}

func TestNothingIsHeldWhileAStreamIsRead(t *testing.T) {
	r := &scripted{parts: []string{"4 <1>a4 <2>b4 <3", ">c"}}
	var got []string
	paused := map[int]bool{} // after how many messages
	f := &frames{r: r, max: 8, lineEnd: '\n', pause: func() error { paused[len(got)] = true; return nil }}
	for range 3 {
		m, err := f.next()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m.text))
	}
	if !paused[0] || paused[1] || !paused[2] {
		t.Errorf("paused after %v messages", paused)
	}
}

// Messages that are framed come out as they were, however they are read; and nothing
// is made up of what isn't framed.
func FuzzFrames(f *testing.F) {
	f.Add("<1>a\n<2>b\n", true)
	f.Add("4 <1>a5 <2>bc", false)
	f.Fuzz(func(t *testing.T, text string, counted bool) {
		whole, err := split(strings.NewReader(text), 64)
		parts, again := split(iotest.HalfReader(strings.NewReader(text)), 64)
		if diff := cmp.Diff(whole, parts); diff != "" || (err == io.EOF) != (again == io.EOF) {
			t.Errorf("%q in parts (%v, %v): %s", text, err, again, diff)
		}
		var stream bytes.Buffer
		var want []string
		for m := range strings.SplitSeq(text, "\n") {
			if m = "<1>" + m; len(m) > 64 {
				continue
			}
			if want = append(want, m); counted {
				stream.WriteString(strconv.Itoa(len(m)) + " " + m)
			} else {
				stream.WriteString(m + "\n")
			}
		}
		got, err := split(&stream, 64)
		if diff := cmp.Diff(want, got); diff != "" || err != io.EOF {
			t.Errorf("%q: %v: %s", want, err, diff)
		}
	})
}
