package profiles

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// maxAnswer is how much of an error's text is read.
const maxAnswer = 4 << 10

// sender sends profiles to one endpoint.
type sender struct {
	endpoint string // for people: without credentials
	host     string
	ingest   *url.URL
	push     *url.URL
	headers  map[string]string
	timeout  time.Duration
	client   *http.Client
	metrics  *writeMetrics
}

func newSender(c *EndpointConfig, o component.Options, m *writeMetrics) (*sender, error) {
	u, err := parseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	client, err := c.HTTP.NewPush(o.ID, o.UserAgent)
	if err != nil {
		return nil, err
	}
	public := *u
	public.User = nil
	return &sender{
		endpoint: public.String(),
		host:     u.Hostname(),
		ingest:   u.JoinPath("ingest"),
		push:     u.JoinPath(pushProcedure),
		headers:  c.Headers,
		timeout:  c.RemoteTimeout,
		client:   client,
		metrics:  m,
	}, nil
}

// Send implements deliver.Sender. The queue hands blocks out one by one; only
// the parts of one that was cut come together.
func (s *sender) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	f, err := joinFrames(blocks)
	if err != nil {
		return deliver.Result{}, &deliver.Error{Err: err, Rejected: true, Reason: "damaged"}
	}
	start := time.Now()
	err = s.request(ctx, &f)
	s.observe(f.route, "downstream", start)
	if err != nil {
		return deliver.Result{}, s.judge(err)
	}
	s.observe(f.route, "endpoint", f.received)
	s.metrics.sentBytes.WithLabelValues(s.endpoint).Add(float64(len(f.body)))
	for i := range blocks {
		s.metrics.sentProfiles.WithLabelValues(s.endpoint).Add(float64(blocks[i].Items))
	}
	return deliver.Result{}, nil
}

// joinFrames decodes blocks into one request. Joined PushRequests are one
// PushRequest; ingest requests cannot be joined.
func joinFrames(blocks []queue.Block) (frame, error) {
	joined, err := parseFrame(blocks[0].Data)
	if err != nil {
		return frame{}, err
	}
	for i := range blocks[1:] {
		f, err := parseFrame(blocks[i+1].Data)
		if err != nil {
			return frame{}, err
		}
		if f.route != pipeline.ProfilePush || joined.route != pipeline.ProfilePush {
			return frame{}, fmt.Errorf("%w that could be joined with others", errFrame)
		}
		joined.body = append(joined.body[:len(joined.body):len(joined.body)], f.body...)
	}
	return joined, nil
}

func (s *sender) observe(route pipeline.ProfileRoute, kind string, since time.Time) {
	s.metrics.latency.WithLabelValues(s.endpoint, string(route)+"_"+kind).Observe(time.Since(since).Seconds())
}

// judge decides what becomes of a request that was not taken.
func (s *sender) judge(err error) error {
	verdict := &deliver.Error{Err: err}
	var answer *answerError
	if errors.As(err, &answer) {
		verdict.RetryAfter = answer.retryAfter
		verdict.Rejected, verdict.TooLarge = answer.rejects()
	}
	if !verdict.Rejected {
		s.metrics.retries.WithLabelValues(s.endpoint).Inc()
	}
	return verdict
}

// request sends one profile once.
func (s *sender) request(ctx context.Context, f *frame) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	target := *s.ingest
	target.RawQuery = f.query
	if f.route == pipeline.ProfilePush {
		target = *s.push
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(f.body))
	if err != nil {
		return err
	}
	for name, value := range s.headers {
		httpclient.SetHeader(req, name, value)
	}
	if f.route == pipeline.ProfilePush {
		req.Header.Set("Content-Type", "application/proto")
		req.Header.Set("Connect-Protocol-Version", "1")
		req.Header.Set("Connect-Timeout-Ms", strconv.FormatInt(s.timeout.Milliseconds(), 10))
	} else if f.contentType != "" {
		req.Header.Set("Content-Type", f.contentType)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var failed *url.Error // its text repeats the whole query
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("send a profile to %s: %w", s.endpoint, err)
	}
	defer resp.Body.Close()
	text := httpclient.Beginning(resp, maxAnswer)
	answer := newAnswerError(s.endpoint, resp, text)
	if answer.unacknowledged = unacknowledged(f.route, resp, text); answer.unacknowledged == nil && resp.StatusCode/100 == 2 {
		return nil
	}
	return answer
}

// unacknowledged says why an answer does not mean what its status says, if so.
// One to a push is also held to the Connect protocol, as every client of it does.
func unacknowledged(route pipeline.ProfileRoute, resp *http.Response, text []byte) error {
	if err := httpclient.Unacknowledged(resp, text); err != nil || route != pipeline.ProfilePush || resp.StatusCode/100 != 2 {
		return err
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != "application/proto" {
		return fmt.Errorf("%s answers %s with content type %q, which is not what Pyroscope's push API answers: is the URL that of Pyroscope?",
			httpclient.CleanURL(resp.Request.URL), resp.Status, kind)
	}
	return nil
}

// Split implements deliver.Sender. Only a push request can hold several
// profiles.
func (s *sender) Split(block queue.Block) []queue.Block {
	f, err := parseFrame(block.Data)
	if err != nil || f.route != pipeline.ProfilePush {
		return nil
	}
	first, second, n := splitPush(f.body)
	if n == 0 {
		return nil
	}
	parts := []queue.Block{block, block}
	for i, body := range [][]byte{first, second} {
		part := f
		part.body = body
		parts[i].Data = part.append(make([]byte, 0, part.size()))
	}
	parts[0].Items = n
	parts[1].Items = block.Items - n
	return parts
}

// answerError is an answer that does not acknowledge the profile.
type answerError struct {
	endpoint       string
	status         int
	code           string // of the Connect protocol; may be empty
	message        string // the server's words
	retryAfter     time.Duration
	unacknowledged error // why, if it is neither a refusal nor a failure
}

func newAnswerError(endpoint string, resp *http.Response, text []byte) *answerError {
	e := &answerError{
		endpoint: endpoint, status: resp.StatusCode, message: httpclient.Words(resp, text),
		retryAfter: httpclient.RetryAfter(resp.Header, time.Now()),
	}
	var body struct{ Code string }
	if json.Unmarshal(text, &body) == nil {
		e.code = body.Code
	}
	return e
}

func (e *answerError) Error() string {
	if e.unacknowledged != nil {
		return e.unacknowledged.Error()
	}
	text := fmt.Sprintf("%s answered %d %s", e.endpoint, e.status, http.StatusText(e.status))
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// rejects tells whether the server will never take the same bytes, and whether
// that is because of their size. What a change of the server or of the
// configuration can mend (credentials, a wrong path) is not the profile's fault.
func (e *answerError) rejects() (rejected, tooLarge bool) {
	switch e.status {
	case http.StatusRequestEntityTooLarge:
		return true, true
	case http.StatusTooManyRequests:
		// Connect has one code for a rate limit and for a message limit.
		tooLarge = e.code == "resource_exhausted" && strings.Contains(e.message, "larger than configured max")
		return tooLarge, tooLarge
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusTooEarly, 499:
		return false, false
	}
	return e.status/100 == 4, false
}
