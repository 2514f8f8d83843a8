package profiles

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// sender sends profiles to one endpoint.
type sender struct {
	endpoint string // for people: without credentials
	host     string
	ingest   route
	push     route
	headers  map[string]string
	timeout  time.Duration
	metrics  *writeMetrics
}

// route is one of Pyroscope's two APIs for profiles.
type route struct {
	url    *url.URL
	client *httpsend.Client
}

// close closes the connections that are not in use; both routes share them.
func (s *sender) close() { s.ingest.client.Close() }

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
		ingest:   route{u.JoinPath("ingest"), &httpsend.Client{HTTP: client, Timeout: c.RemoteTimeout, Except: exceptIngest}},
		push:     route{u.JoinPath(pushProcedure), &httpsend.Client{HTTP: client, Timeout: c.RemoteTimeout, Except: exceptPush}},
		headers:  c.Headers,
		timeout:  c.RemoteTimeout,
		metrics:  m,
	}, nil
}

// Send implements deliver.Sender. The queue gives out blocks one by one; only the parts
// of one that was cut come together.
func (s *sender) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	f, err := joinFrames(blocks)
	if err != nil {
		return deliver.Result{}, &deliver.Error{Err: err, Rejected: true, Reason: "damaged"}
	}
	start := time.Now()
	err = s.request(ctx, &f)
	s.observe(f.route, "downstream", start)
	if err != nil {
		return deliver.Result{}, err
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

// attempted records a request that has ended.
func (s *sender) attempted(a deliver.Attempt) {
	if a.Outcome == deliver.Retry {
		s.metrics.retries.WithLabelValues(s.endpoint).Inc()
	}
}

// request sends one profile once.
func (s *sender) request(ctx context.Context, f *frame) error {
	to, query := s.ingest, f.query
	if f.route == pipeline.ProfilePush {
		to, query = s.push, ""
	}
	target := *to.url
	target.RawQuery = query
	_, err := to.client.Send(ctx, httpsend.Request{URL: target.String(), Body: f.body, Prepare: func(r *http.Request) { s.header(r, f) }})
	return err
}

func (s *sender) header(r *http.Request, f *frame) {
	for name, value := range s.headers {
		httpclient.SetHeader(r, name, value)
	}
	if f.route == pipeline.ProfilePush {
		r.Header.Set("Content-Type", "application/proto")
		r.Header.Set("Connect-Protocol-Version", "1")
		r.Header.Set("Connect-Timeout-Ms", strconv.FormatInt(s.timeout.Milliseconds(), 10))
	} else if f.contentType != "" {
		r.Header.Set("Content-Type", f.contentType)
	}
}

// exceptIngest is where Pyroscope's /ingest differs: the content type is the client's,
// not chosen here.
func exceptIngest(a *httpsend.Answer) *deliver.Error {
	if a.Status == http.StatusUnsupportedMediaType {
		return &deliver.Error{Rejected: true}
	}
	return exceptSize(a)
}

// exceptSize is that Pyroscope has one status for a limit of the rate and of the
// size, as the Connect protocol has one code for both.
func exceptSize(a *httpsend.Answer) *deliver.Error {
	if a.Status == http.StatusTooManyRequests && connectCode(a.Body) == "resource_exhausted" && strings.Contains(a.Words, "larger than configured max") {
		return &deliver.Error{Rejected: true, TooLarge: true}
	}
	return nil
}

// exceptPush checks an answer to a push against the Connect protocol, as every client of
// it does.
func exceptPush(a *httpsend.Answer) *deliver.Error {
	if kind := a.Header.Get("Content-Type"); a.Status/100 == 2 && (a.Status != http.StatusOK || kind != "application/proto") {
		return &deliver.Error{Err: fmt.Errorf("%s responds %d %s with content type %q, unlike Pyroscope's push API: is this the URL of Pyroscope?",
			a.URL(), a.Status, http.StatusText(a.Status), kind)}
	}
	return exceptSize(a)
}

// connectCode is the code of an error of the Connect protocol, or "".
func connectCode(body []byte) string {
	var e struct{ Code string }
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	return e.Code
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
