package stages

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
)

// given is log lines that somebody wants to see go through the stages.
type given struct {
	Lines    []string          `json:"lines"`
	Labels   map[string]string `json:"labels"`
	Metadata map[string]string `json:"metadata"`
	Time     time.Time         `json:"time"` // now if there is none
}

const (
	// maxLines is how many lines can be tried at once, and maxGiven how many bytes.
	maxLines = 200
	maxGiven = 64 << 10
)

// readGiven reads the body of a request: JSON, or a form.
func readGiven(r *http.Request) (v given, err error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // anything invalid is not a form
	switch kind {
	case "application/x-www-form-urlencoded":
		v, err = formGiven(r)
	default:
		d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxGiven))
		d.DisallowUnknownFields()
		if err = d.Decode(&v); errors.Is(err, io.EOF) {
			err = errors.New("the request has no body")
		}
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return v, page.Invalid(fmt.Sprintf("The lines are larger than %d KiB together.", maxGiven>>10))
	case err != nil:
		return v, page.Invalid("Cannot read the lines: " + err.Error())
	case len(v.Lines) == 0:
		return v, page.Invalid("There is no line to try.")
	case len(v.Lines) > maxLines:
		return v, page.Invalid(fmt.Sprintf("There are %d lines; at most %d can be tried at once.", len(v.Lines), maxLines))
	}
	if v.Time.IsZero() {
		v.Time = time.Now()
	}
	return v, nil
}

// formGiven reads a form, in which each line of the text is a log line, unless the whole
// text is one.
func formGiven(r *http.Request) (v given, err error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxGiven)
	if err := r.ParseForm(); err != nil {
		return v, err
	}
	text := strings.ReplaceAll(r.PostForm.Get("lines"), "\r\n", "\n")
	switch {
	case strings.Trim(text, "\n") == "":
	case r.PostForm.Get("whole") != "":
		v.Lines = []string{text}
	default:
		v.Lines = strings.Split(strings.TrimRight(text, "\n"), "\n")
	}
	if v.Labels, err = parsePairs(r.PostForm.Get("labels")); err != nil {
		return v, fmt.Errorf("labels: %w", err)
	}
	if v.Metadata, err = parsePairs(r.PostForm.Get("metadata")); err != nil {
		return v, fmt.Errorf("structured metadata: %w", err)
	}
	if at := strings.TrimSpace(r.PostForm.Get("time")); at != "" {
		if v.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return v, fmt.Errorf("time: %q is not a time such as %s", at, "2026-01-02T15:04:05Z")
		}
	}
	return v, nil
}

// selectorPair is a label in a selector, such as app="shop".
var selectorPair = regexp.MustCompile(`\s*([^\s={},"]+)\s*=\s*("(?:[^"\\]|\\.)*")\s*(?:,|$)`)

// parsePairs reads labels: a JSON object, a selector such as {app="shop"}, or one a line.
func parsePairs(text string) (map[string]string, error) {
	out := map[string]string{}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") {
		if json.Unmarshal([]byte(text), &out) == nil {
			return out, nil
		}
		clear(out)
		rest := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}"))
		for rest != "" {
			m := selectorPair.FindStringSubmatchIndex(rest)
			if m == nil || m[0] != 0 {
				return nil, fmt.Errorf("cannot read %.100q; write name=\"value\"", rest)
			}
			value, err := strconv.Unquote(rest[m[4]:m[5]])
			if err != nil {
				return nil, fmt.Errorf("the text %.100s in quotes is not valid", rest[m[4]:m[5]])
			}
			out[rest[m[2]:m[3]]], rest = value, rest[m[1]:]
		}
		return out, nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("cannot read %.100q; write name=value, one per line", line)
		}
		value = strings.TrimSpace(value)
		if unquoted, err := strconv.Unquote(value); err == nil && strings.HasPrefix(value, `"`) {
			value = unquoted
		}
		out[name] = value
	}
	return out, nil
}

// pairsText is labels as the form has them.
func pairsText(all map[string]string) string {
	var b strings.Builder
	for _, name := range sorted(all) {
		value := all[name]
		if strings.TrimSpace(value) != value || strings.ContainsAny(value, "\n\r") || strings.HasPrefix(value, `"`) {
			value = strconv.Quote(value)
		}
		b.WriteString(name + "=" + value + "\n")
	}
	return b.String()
}

// entries are what goes through the stages.
func (v *given) entries() []inspect.StagedEntry {
	var out []inspect.StagedEntry
	for i, line := range v.Lines {
		out = append(out, inspect.StagedEntry{Labels: labels.FromMap(v.Labels), Entry: pipeline.Entry{
			Time: v.Time.Add(time.Duration(i)), Line: line, Metadata: labels.FromMap(v.Metadata),
		}})
	}
	return out
}
