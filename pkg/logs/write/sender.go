package write

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/httpclient"
	"collector/pkg/queue"
)

const (
	// rawLimit is what a request may hold uncompressed, at any batch_size up to it:
	// Loki's ingesters reject messages of more than 4 MiB by default.
	rawLimit = int(3584 * component.KiB)
)

// sender sends blocks to one endpoint. A block is a PushRequest compressed
// with snappy.
type sender struct {
	endpoint Endpoint
	host     string
	client   *httpsend.Client
	metrics  *metrics
	bodies   sync.Pool // of *[]byte: merged bodies
}

func newSender(e Endpoint, userAgent string, m *metrics) (*sender, error) {
	client, err := e.HTTP.NewPush("loki.write", userAgent)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	s := &sender{endpoint: e, host: u.Host, client: &httpsend.Client{HTTP: client, Timeout: e.RemoteTimeout, Except: except}, metrics: m}
	s.bodies.New = func() any { return new([]byte) }
	return s, nil
}

// tenant is the tenant of entries that ask for the given one.
func (s *sender) tenant(asked string) string {
	if asked != "" {
		return asked
	}
	return s.endpoint.TenantID
}

// Split implements deliver.Sender.
func (s *sender) Split(b queue.Block) []queue.Block { return splitBlock(b) }

// Send implements deliver.Sender.
func (s *sender) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	tenant := s.tenant(blocks[0].Tag)
	entries, raw := 0, 0
	for i := range blocks {
		entries += blocks[i].Items
		raw += rawSize(blocks[i])
	}
	if limit := max(rawLimit, int(s.endpoint.BatchSize)); len(blocks) > 1 && raw > limit {
		return deliver.Result{}, &deliver.Error{
			Err:      fmt.Errorf("the request would have %d bytes uncompressed, more than the %d that Loki accepts", raw, limit),
			Rejected: true, TooLarge: true,
		}
	}
	body := blocks[0].Data
	if len(blocks) > 1 {
		buf := s.bodies.Get().(*[]byte)
		defer s.bodies.Put(buf)
		merged, err := mergeSnappy((*buf)[:0], blocks)
		if err != nil {
			return deliver.Result{}, &deliver.Error{Err: err, Rejected: true, Reason: reasonGeneric}
		}
		*buf, body = merged, merged
	}
	s.metrics.encodedBytes.WithLabelValues(s.host, tenant).Add(float64(len(body)))
	answer, err := s.post(ctx, tenant, body)
	if err == nil {
		s.metrics.sentBytes.WithLabelValues(s.host, tenant).Add(float64(len(body)))
		s.metrics.sentEntries.WithLabelValues(s.host, tenant).Add(float64(entries))
		return deliver.Result{}, nil
	}
	return s.judge(answer, err, tenant, len(blocks), entries, len(body))
}

// post sends one request.
func (s *sender) post(ctx context.Context, tenant string, body []byte) (httpsend.Answer, error) {
	begin := time.Now()
	answer, err := s.client.Send(ctx, httpsend.Request{URL: s.endpoint.URL, Body: body, Prepare: func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-protobuf")
		if tenant != "" {
			r.Header.Set("X-Scope-OrgID", tenant)
		}
		for name, value := range s.endpoint.Headers {
			if r.Header.Get(name) == "" {
				httpclient.SetHeader(r, name, value)
			}
		}
	}})
	status := cmp.Or(answer.Status, -1) // Alloy's word for no answer
	s.metrics.duration.WithLabelValues(strconv.Itoa(status), s.host, tenant).Observe(time.Since(begin).Seconds())
	return answer, err
}

// except handles what Loki does not express by its status: gRPC between its parts has a
// limit of its own, which it reports with 500. Other answers, such as a rate limit, may
// quote a stream that contains the same words.
func except(a *httpsend.Answer) *deliver.Error {
	if (a.Status/100 == 5 || a.Status == http.StatusBadRequest) && strings.Contains(a.Words, "larger than max (") {
		return &deliver.Error{Rejected: true, TooLarge: true}
	}
	return nil
}

// judge adds to the verdict on an answer what only Loki has: tenants, and Alloy's reasons
// for what is dropped.
func (s *sender) judge(a httpsend.Answer, err error, tenant string, blocks, entries, size int) (deliver.Result, error) {
	var e *deliver.Error
	if !errors.As(err, &e) {
		return deliver.Result{}, err
	}
	reason := dropReason(a)
	if a.Status == http.StatusTooManyRequests && !s.endpoint.RetryOnHTTP429 {
		// Smaller requests would be rejected as well: all of it is dropped.
		s.metrics.drop(s.host, tenant, reason, entries, size)
		return deliver.Result{Dropped: entries, Reason: reason, Message: a.Words, Err: e}, nil
	}
	if !e.Rejected {
		e.OfTag = ofTenant(a.Status)
		return deliver.Result{}, e
	}
	if e.TooLarge && reason == reasonGeneric {
		reason = reasonLineTooLong
	}
	if blocks == 1 && entries <= 1 { // it can't be cut any further
		s.metrics.drop(s.host, tenant, reason, entries, size)
	}
	e.Reason = reason
	return deliver.Result{}, e
}

// attempted records a request that has ended.
func (s *sender) attempted(a deliver.Attempt) {
	if a.Outcome == deliver.Retry {
		s.metrics.batchRetries.WithLabelValues(s.host, s.tenant(a.Tag)).Inc()
	}
}

// ofTenant reports whether an answer is about the tenant rather than about Loki's
// state: its limits or its credentials.
func ofTenant(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusUnauthorized || status == http.StatusForbidden
}

// dropReason sorts Loki's answers by Alloy's reasons.
func dropReason(a httpsend.Answer) string {
	text := strings.ToLower(a.Words)
	switch {
	case strings.Contains(text, "max entry size") || strings.Contains(text, "line too long"):
		return reasonLineTooLong
	case strings.Contains(text, "stream limit"):
		return reasonStreamLimited
	case a.Status == http.StatusTooManyRequests || strings.Contains(text, "rate limit"):
		return reasonRateLimited
	}
	return reasonGeneric
}
