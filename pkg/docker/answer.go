package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
)

const (
	// maxObject bounds one object of an answer, or an event: what an Engine says
	// about a container has some 10 KiB. maxNetwork is larger, as it lists the
	// containers in a network.
	maxObject  = 1 << 20
	maxNetwork = 2 << 20
	// maxLabels bounds the labels of one object as they are written: as a map,
	// short ones take ten times as much.
	maxLabels = 256 << 10
	// maxContainers and maxNetworks bound what an Engine may have.
	maxContainers = 100_000
	maxNetworks   = 10_000
	// mostHeld bounds what is held of all containers together; in a process with
	// a limit on its memory, it is at most one part in heldPart of that.
	mostHeld  = 64 << 20
	leastHeld = 4 << 20
	heldPart  = 16
)

// HeldLimit is how many bytes are held of the containers of one Engine, and of
// what is made of them.
func HeldLimit() int {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return mostHeld
	}
	return int(min(mostHeld, max(leastHeld, limit/heldPart)))
}

// TooLargeError says that an answer of an Engine is over a limit.
type TooLargeError struct {
	what, limit string
	counted     bool
}

func tooLarge(what, limit string) error { return &TooLargeError{what: what, limit: limit} }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s: the limit is %s: is this a Docker Engine?", e.what, e.limit)
}

// IsTooLarge reports whether err says that an answer is over a limit.
func IsTooLarge(err error) bool {
	var t *TooLargeError
	return errors.As(err, &t)
}

// boundedLabels are labels that take at most maxLabels bytes.
type boundedLabels map[string]string

// UnmarshalJSON checks the size before a map is made.
func (l *boundedLabels) UnmarshalJSON(text []byte) error {
	if len(text) > maxLabels {
		return tooLarge("the labels of a container or network are too large", fmt.Sprintf("%d KiB", maxLabels>>10))
	}
	return json.Unmarshal(text, (*map[string]string)(l))
}

func mebibytes(n int) string { return fmt.Sprintf("%d MiB", n>>20) }

// answerError is an answer other than 200.
type answerError struct {
	code            int
	status, message string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("the Engine answers %s: %s", e.status, e.message)
}

// errorMessage is the message in an answer of an Engine, or else the whole text.
func errorMessage(body []byte) string {
	var said struct{ Message string }
	if json.Unmarshal(body, &said) == nil && said.Message != "" {
		return said.Message
	}
	return strings.TrimSpace(string(body))
}

// meter bounds what is read between two marks.
type meter struct {
	r     io.Reader
	since int
	limit int
	what  string
}

func (m *meter) Read(p []byte) (int, error) {
	if m.since > m.limit {
		return 0, tooLarge(m.what+" is too large", mebibytes(m.limit))
	}
	n, err := m.r.Read(p)
	m.since += n
	return n, err
}

func (m *meter) mark() { m.since = 0 }

// open makes a request for JSON.
func (c *connection) open(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	u := c.endpoint.base
	u.Path += "/v" + c.version + path
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.endpoint.http.Do(r)
	if err != nil {
		return nil, withoutURL(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return nil, &answerError{resp.StatusCode, resp.Status, shortText(text)}
}

// withoutURL takes the made-up URL off an error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// object reads an answer that is one object.
func (c *connection) object(ctx context.Context, path string, limit int, into any) error {
	return c.objectOf(ctx, path, nil, limit, into)
}

// objectOf is object with parameters.
func (c *connection) objectOf(ctx context.Context, path string, query url.Values, limit int, into any) error {
	body, err := c.open(ctx, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(&meter{r: body, limit: limit, what: "the answer"}).Decode(into)
}

// each reads an answer that is a list, one element after the other, so that no
// more than one is held beside what take keeps.
func each[T any](ctx context.Context, c *connection, path string, query url.Values, take func(*T) error) error {
	body, err := c.open(ctx, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	m := &meter{r: body, limit: maxObject, what: "an element of the answer"}
	d := json.NewDecoder(m)
	begin, err := d.Token()
	if err != nil {
		return unexpectedEnd(err)
	}
	if begin != json.Delim('[') {
		if begin == nil {
			return nil
		}
		return fmt.Errorf("the response begins with %.20q, not with a list: this is not a Docker Engine", fmt.Sprint(begin))
	}
	for d.More() {
		v := new(T)
		if err := d.Decode(v); err != nil {
			return unexpectedEnd(err)
		}
		m.mark()
		if err := take(v); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return unexpectedEnd(err)
}

func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
