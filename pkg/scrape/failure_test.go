package scrape

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/textparse"

	"collector/pkg/cause"
)

// pageOf is why a page can't be read.
func pageOf(t *testing.T, contentType, text string) *cause.Page {
	t.Helper()
	var page *cause.Page
	if err := read(contentType, text); !errors.As(err, &page) {
		t.Fatalf("%q: %v", text, err)
	}
	return page
}

func TestTheLineThatFailsIsNamed(t *testing.T) {
	const open = "application/openmetrics-text; version=1.0.0"
	for text, want := range map[string]struct {
		kind   string
		number int
		line   string
	}{
		"a x\n":                          {textType, 1, "a x"},
		"\n \t\n# HELP a b\n\na 1\nb x":  {textType, 6, "b x"},
		"# TYPE a nonsense\na 1\n":       {textType, 1, "# TYPE a nonsense"},
		"a{b=\"two\nlines\"} 1\nb x\n":   {textType, 3, "b x"},
		"# just a comment\na 1\nb x\n":   {textType, 3, "b x"},
		"a{b=\"c\",b=\"d\"} 1\n":         {textType, 1, "a{b=\"c\",b=\"d\"} 1"},
		"# TYPE a gauge\na x\n# EOF\n":   {open, 2, "a x"},
		"# TYPE a gauge\n\na 1\n# EOF":   {open, 2, ""},
		"a 1\n":                          {open, 0, ""},
		"b x" + strings.Repeat("y", 999): {textType, 1, "b x" + strings.Repeat("y", maxLine-3)},
	} {
		if got := pageOf(t, want.kind, text); got.Line != want.number || got.Text != want.line {
			t.Errorf("%q: line %d %q", text, got.Line, got.Text)
		}
	}
}

// entries is how many entries of a page textparse reads, and why it stops. It panics on
// some pages.
func entries(page []byte) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = 0, io.EOF
		}
	}()
	p := textparse.NewPromParser(bytes.Clone(page), nil, false)
	for {
		if _, err = p.Next(); err != nil {
			return n, err
		}
		n++
	}
}

// The line that is named is the first that can't be read: all before it can.
func FuzzLineThatFails(f *testing.F) {
	f.Add([]byte("a 1\n\n# HELP a b\nb x\n"))
	f.Add([]byte("a{b=\"two\nlines\"} 1\nb x\n"))
	f.Add([]byte("# TYPE \"a\nb\" gauge\n  c 1\n\t\nd"))
	f.Fuzz(func(t *testing.T, page []byte) {
		n, err := entries(page)
		if errors.Is(err, io.EOF) {
			return
		}
		number, text := new(settings).lineAfter(bytes.Clone(page), "text/plain", n)
		lines := bytes.Split(page, []byte("\n"))
		if number == 0 {
			t.Fatalf("%q: no line, although the parser says %v", page, err)
		}
		if number > len(lines) {
			t.Fatalf("%q: line %d of %d", page, number, len(lines))
		}
		if line := lines[number-1]; len(line) <= maxLine && strings.ToValidUTF8(string(line), "\uFFFD") != text {
			t.Errorf("%q: line %d is %q, not %q", page, number, line, text)
		}
		before := append(bytes.Join(lines[:number-1], []byte("\n")), '\n')
		if _, err := entries(before); number > 1 && !errors.Is(err, io.EOF) {
			t.Errorf("%q: what is before line %d can't be read either: %v", page, number, err)
		}
	})
}
