package write

import (
	"bytes"
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
	"collector/pkg/httpclient"
	"collector/pkg/queue"
)

const (
	// rawLimit is what a request may hold uncompressed, at any batch_size up to
	// it: Loki's ingesters refuse messages of more than 4 MiB by default.
	rawLimit = int(3584 * component.KiB)
	// maxAnswer is how much of an answer is read for its words.
	maxAnswer = 4 << 10
)

// sender sends blocks to one endpoint. A block is a PushRequest compressed
// with snappy.
type sender struct {
	endpoint Endpoint
	host     string
	client   *http.Client
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
	s := &sender{endpoint: e, host: u.Host, client: client, metrics: m}
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
			Err:      fmt.Errorf("the request would have %d bytes uncompressed, more than the %d that Loki is known to take", raw, limit),
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
	if err != nil {
		s.metrics.batchRetries.WithLabelValues(s.host, tenant).Inc()
		return deliver.Result{}, &deliver.Error{Err: err}
	}
	return s.judge(answer, tenant, len(blocks), entries, len(body))
}

// answer is what Loki said.
type answer struct {
	status     int
	text       string
	retryAfter time.Duration
	// unacknowledged says why the answer does not mean what its status says.
	unacknowledged error
}

// post sends one request.
func (s *sender) post(ctx context.Context, tenant string, body []byte) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.endpoint.RemoteTimeout)
	defer cancel()
	begin, status := time.Now(), -1 // Alloy's word for no answer
	defer func() {
		s.metrics.duration.WithLabelValues(strconv.Itoa(status), s.host, tenant).Observe(time.Since(begin).Seconds())
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint.URL, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	if tenant != "" {
		request.Header.Set("X-Scope-OrgID", tenant)
	}
	for name, value := range s.endpoint.Headers {
		if request.Header.Get(name) == "" {
			httpclient.SetHeader(request, name, value)
		}
	}
	response, err := s.client.Do(request)
	if err != nil {
		return a, withoutURL(err)
	}
	defer response.Body.Close()
	status = response.StatusCode
	text := httpclient.Beginning(response, maxAnswer)
	return answer{
		status: status, text: httpclient.Words(response, text), retryAfter: httpclient.RetryAfter(response.Header, time.Now()),
		unacknowledged: httpclient.Unacknowledged(response, text),
	}, nil
}

// withoutURL takes the URL out of an error: it may hold a password, and who
// reads the error knows the destination.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// judge turns an answer into what deliver has to do.
func (s *sender) judge(a answer, tenant string, blocks, entries, size int) (deliver.Result, error) {
	if a.unacknowledged != nil {
		s.metrics.batchRetries.WithLabelValues(s.host, tenant).Inc()
		return deliver.Result{}, &deliver.Error{Err: a.unacknowledged, RetryAfter: a.retryAfter}
	}
	if a.status/100 == 2 {
		s.metrics.sentBytes.WithLabelValues(s.host, tenant).Add(float64(size))
		s.metrics.sentEntries.WithLabelValues(s.host, tenant).Add(float64(entries))
		return deliver.Result{}, nil
	}
	err := fmt.Errorf("HTTP status %d %s: %s", a.status, http.StatusText(a.status), a.text)
	reason := dropReason(a)
	if a.status == http.StatusTooManyRequests && !s.endpoint.RetryOnHTTP429 {
		// Smaller requests would be refused as well: all of it is dropped.
		s.metrics.drop(s.host, tenant, reason, entries, size)
		return deliver.Result{Dropped: entries, Reason: reason, Message: a.text}, nil
	}
	rejected, tooLarge := rejection(a)
	if tooLarge && reason == reasonGeneric {
		reason = reasonLineTooLong
	}
	if !rejected {
		s.metrics.batchRetries.WithLabelValues(s.host, tenant).Inc()
		return deliver.Result{}, &deliver.Error{Err: err, RetryAfter: a.retryAfter, OfTag: ofTenant(a.status)}
	}
	if blocks == 1 && entries <= 1 { // it can't be cut any further
		s.metrics.drop(s.host, tenant, reason, entries, size)
	}
	return deliver.Result{}, &deliver.Error{Err: err, Rejected: true, TooLarge: tooLarge, Reason: reason}
}

// rejection tells whether an answer is about the entries. Others are about
// Loki's state or about the way to it: wrong credentials and wrong paths are
// mended by people, and until then the entries are worth keeping.
func rejection(a answer) (rejected, tooLarge bool) {
	switch {
	case a.status == http.StatusRequestEntityTooLarge || strings.Contains(a.text, "larger than max"):
		return true, true
	case a.status/100 != 4:
		return false, false
	}
	switch a.status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusRequestTimeout,
		http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusTooManyRequests:
		return false, false
	}
	return true, false
}

// ofTenant tells whether an answer is about the tenant rather than about Loki's
// state: its limits or its credentials.
func ofTenant(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusUnauthorized || status == http.StatusForbidden
}

// dropReason sorts Loki's answers by Alloy's reasons.
func dropReason(a answer) string {
	text := strings.ToLower(a.text)
	switch {
	case strings.Contains(text, "max entry size") || strings.Contains(text, "line too long"):
		return reasonLineTooLong
	case strings.Contains(text, "stream limit"):
		return reasonStreamLimited
	case a.status == http.StatusTooManyRequests || strings.Contains(text, "rate limit"):
		return reasonRateLimited
	}
	return reasonGeneric
}
