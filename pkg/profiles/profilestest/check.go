package profilestest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/pyroscope/api/model/labelset"
	"google.golang.org/protobuf/encoding/protowire"
)

func checkIngest(r *http.Request, body []byte) (map[string]string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", r.URL.RawQuery, err)
	}
	if err := checkParameters(query); err != nil {
		return nil, err
	}
	set, err := checkName(query["name"])
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Content-Encoding", "Connection"} {
		if value := r.Header.Get(name); value != "" {
			return nil, fmt.Errorf("header %s: %s", name, value)
		}
	}
	return set, checkBody(query.Get("format"), r.Header.Get("Content-Type"), body)
}

func checkName(names []string) (map[string]string, error) {
	if len(names) != 1 {
		return nil, fmt.Errorf("name appears %d times in the query", len(names))
	}
	set, err := labelset.Parse(names[0])
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", names[0], err)
	}
	if err := labelset.ValidateLabelSet(set); err != nil {
		return nil, fmt.Errorf("name %q: %w", names[0], err)
	}
	if n := strings.Count(names[0], "service_name="); n != 1 {
		return nil, fmt.Errorf("service_name appears %d times in the name %q", n, names[0])
	}
	return set.Labels(), nil
}

func checkParameters(query url.Values) error {
	for name, values := range query {
		if len(values) != 1 {
			return fmt.Errorf("parameter %s appears %d times in the query", name, len(values))
		}
		value := values[0]
		var err error
		switch name {
		case "name", "spyName", "format":
			if value == "" {
				err = errors.New("empty")
			}
		case "units", "aggregationType": // the Go SDK leaves them empty for some types
		case "sampleRate":
			_, err = strconv.ParseUint(value, 10, 32)
		case "from", "until":
			_, err = parseTime(value)
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return fmt.Errorf("parameter %s=%q: %w", name, value, err)
		}
	}
	from, _ := parseTime(query.Get("from"))
	until, _ := parseTime(query.Get("until"))
	// An SDK that stops cuts its end to the second.
	if !from.IsZero() && !until.IsZero() && until.Before(from.Truncate(time.Second)) {
		return fmt.Errorf("the profile ends (%s) before it begins (%s)", until, from)
	}
	return nil
}

// parseTime reads seconds, milliseconds, microseconds or nanoseconds since the
// epoch, by the number of digits.
func parseTime(value string) (time.Time, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return time.Time{}, err
	case n < 1e11:
		return time.Unix(n, 0), nil
	case n < 1e14:
		return time.UnixMilli(n), nil
	case n < 1e17:
		return time.UnixMicro(n), nil
	default:
		return time.Unix(0, n), nil
	}
}

func checkBody(format, contentType string, body []byte) error {
	if strings.HasPrefix(contentType, "multipart/form-data") {
		return checkMultipart(format, contentType, body)
	}
	switch format {
	case "pprof":
		return checkPprof(body)
	case "jfr":
		return checkJFR(body)
	case "tree", "trie", "speedscope":
		if len(body) == 0 {
			return errors.New("the body is empty")
		}
		return nil
	default:
		return checkLines(body)
	}
}

func checkMultipart(format, contentType string, body []byte) error {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("Content-Type %q: %w", contentType, err)
	}
	reader := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	var parts []string
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("multipart body: %w", err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return fmt.Errorf("multipart body: %w", err)
		}
		parts = append(parts, part.FormName())
		if err := checkPart(part.FormName(), content); err != nil {
			return fmt.Errorf("part %q: %w", part.FormName(), err)
		}
	}
	want := "profile"
	if format == "jfr" {
		want = "jfr"
	}
	if !slices.Contains(parts, want) {
		return fmt.Errorf("no part %q among %q", want, parts)
	}
	return nil
}

func checkPart(name string, content []byte) error {
	switch name {
	case "profile", "prev_profile":
		return checkPprof(content)
	case "sample_type_config":
		if !json.Valid(content) {
			return errors.New("not JSON")
		}
		return nil
	case "jfr":
		return checkJFR(content)
	case "labels":
		return checkMessage(content, nil)
	}
	return errors.New("unknown")
}

func checkJFR(content []byte) error {
	content, err := gunzip(content)
	if err == nil && !bytes.HasPrefix(content, []byte("FLR\x00")) {
		err = errors.New("the recording does not begin with FLR")
	}
	return err
}

// checkLines checks the text format: stacks, each followed by a blank and a
// number.
func checkLines(body []byte) error {
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSuffix(line, "\n")
		i := strings.LastIndexByte(line, ' ')
		if i < 0 {
			return fmt.Errorf("the line %q has no value", line)
		}
		if _, err := strconv.ParseUint(line[i+1:], 10, 64); err != nil {
			return fmt.Errorf("the line %q: %w", line, err)
		}
	}
	return nil
}

// checkPprof checks that content is a perftools.profiles.Profile.
func checkPprof(content []byte) error {
	content, err := gunzip(content)
	if err != nil {
		return err
	}
	sampleTypes, strings := 0, 0
	err = checkMessage(content, func(number protowire.Number, value []byte) error {
		switch number {
		case 1: // sample_type
			sampleTypes++
			return checkMessage(value, nil)
		case 6: // string_table
			if strings++; strings == 1 && len(value) > 0 {
				return fmt.Errorf("the string table begins with %q", value)
			}
		}
		if number > 15 {
			return fmt.Errorf("field %d is unknown", number)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if sampleTypes == 0 || strings == 0 {
		return errors.New("profile without sample types or strings")
	}
	return nil
}

func gunzip(content []byte) ([]byte, error) {
	if !bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		return content, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}

// checkMessage checks that content is a protobuf message, and calls field for
// each field of it.
func checkMessage(content []byte, field func(number protowire.Number, value []byte) error) error {
	for len(content) > 0 {
		number, wireType, n := protowire.ConsumeTag(content)
		if n < 0 {
			return protowire.ParseError(n)
		}
		content = content[n:]
		n = protowire.ConsumeFieldValue(number, wireType, content)
		if n < 0 {
			return protowire.ParseError(n)
		}
		var value []byte
		if wireType == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(content)
		}
		if field != nil {
			if err := field(number, value); err != nil {
				return err
			}
		}
		content = content[n:]
	}
	return nil
}
