package scrape

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/textparse"

	"collector/pkg/cause"
	"collector/pkg/mask"
)

// late is err and, if it is a timeout, how far the request got.
func (e *endpoint) late(err error, connected bool) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &cause.Late{
		Err:    fmt.Errorf("the target did not answer within scrape_timeout (%s): %w", e.timeout, err),
		Within: e.timeout, Setting: "scrape_timeout", Connected: connected,
	}
}

// failedAt is a page on which a parser fails with err after n entries. With why, the
// error is not the parser's.
func (s *settings) failedAt(page []byte, contentType string, n int, err error, why string) error {
	p := cause.NewPage(err, contentType, page)
	p.Line, p.Text = s.lineAfter(page, contentType, n)
	p.Why = beginning(why)
	return p
}

// lineAfter is the line of a page in a text format that is the first that does not
// belong to its first n entries. The number is 0 if there is no such line.
func (s *settings) lineAfter(page []byte, contentType string, n int) (number int, text string) {
	plain := *s
	plain.toNHCB = false // whose entries are others
	format := formatOf(contentType, &plain)
	var p textparse.Parser
	switch format {
	case formatText:
		p = textparse.NewPromParser(page, nil, false)
	case formatOpenMetrics:
		p = textparse.NewOpenMetricsParser(page, nil)
	default:
		return 0, ""
	}
	number = 1
	rest := page
	skip := func(bytesTo int) {
		number += bytes.Count(rest[:bytesTo], []byte("\n"))
		rest = rest[bytesTo:]
	}
	for range n {
		entry, err := p.Next()
		if err != nil {
			break
		}
		if format == formatText {
			skip(blanks(rest))
		}
		end := max(0, bytes.Index(rest, own(p, entry))) + len(own(p, entry))
		eol := bytes.IndexByte(rest[end:], '\n')
		if eol < 0 {
			return 0, ""
		}
		skip(end + eol + 1)
	}
	if format == formatText {
		skip(blanks(rest))
	}
	if len(rest) == 0 {
		return 0, ""
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return number, strings.ToValidUTF8(string(line[:min(len(line), maxLine)]), "\uFFFD")
}

// maxLine bounds what is kept of a line.
const maxLine = 200

// blanks is how many bytes the blank lines take with which a page begins.
func blanks(page []byte) int {
	n := 0
	for {
		eol := bytes.IndexByte(page[n:], '\n')
		if eol < 0 || len(bytes.Trim(page[n:n+eol], " \t")) > 0 {
			return n
		}
		n += eol + 1
	}
}

// own is the part of an entry that may have line ends in it.
func own(p textparse.Parser, entry textparse.Entry) []byte {
	switch entry {
	case textparse.EntrySeries:
		series, _, _ := p.Series()
		return series
	case textparse.EntryType:
		name, _ := p.Type()
		return name
	case textparse.EntryHelp, textparse.EntryUnit:
		name, _ := familyText(p, entry)
		return name
	}
	return nil
}

// exceeded is the error for a limit of the samples on a page, or nil.
func (r *reader) exceeded(limit error) error {
	switch {
	case errors.Is(limit, errSampleLimit):
		return &cause.Limit{Err: limit, Argument: "sample_limit", Have: int64(r.out.limited), Most: int64(r.sampleLimit)}
	case errors.Is(limit, errBucketLimit):
		return &cause.Limit{Err: limit, Argument: "native_histogram_bucket_limit", Most: int64(r.bucketLimit)}
	}
	return limit
}

// causeOf is why a scrape failed, as far as the target itself shows it.
func (e *endpoint) causeOf(err error) cause.Cause {
	c := cause.OfTarget(err, cause.Target{
		URL: mask.WithoutPasswords(e.url), Name: strings.TrimPrefix(e.discovered.Get("__meta_docker_container_name"), "/"),
	})
	c.Text = mask.WithoutPasswords(c.Text)
	return c
}
