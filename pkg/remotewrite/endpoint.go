package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"collector/pkg/deliver"
	"collector/pkg/httpclient"
	"collector/pkg/queue"
)

// Reasons for which items are dropped, as the accounting has them.
const (
	reasonRelabelled    = "relabelled"
	reasonHistograms    = "native_histograms_off"
	reasonCustomBuckets = "custom_buckets_unsupported"
	reasonTooOld        = "too_old"
	reasonRateLimited   = "rate_limited"
	reasonDamaged       = "damaged"

	reasonExemplarTooLong = "labels_too_long" // of exemplars alone
)

// maxMessage is how much of an answer is read for its words.
const maxMessage = 4 << 10

// endpoint sends blocks to one destination. It is a deliver.Sender.
type endpoint struct {
	id, url string // url is for people
	target  string // url to send to
	cfg     *Endpoint
	client  *http.Client
	codec   *codec
	shaper  shaper
	metrics *endpointMetrics
	logger  *slog.Logger
	// snappy is set once the destination has refused zstd and taken snappy.
	snappy atomic.Bool
}

// request is what is sent at once.
type request struct {
	body     []byte
	encoding encoding
	contents
	items    int
	dropped  drops
	families []uint64
	maxTime  int64 // in nanoseconds
}

// Send sends blocks as one request.
//
// A destination that answers 400 or 415 to zstd may know only snappy, as remote
// write 1.0 has it: the same samples go out again in snappy, and what comes of
// that counts. If they are taken, snappy is used from then on.
func (e *endpoint) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	r, err := e.prepare(blocks)
	if err != nil {
		return deliver.Result{}, &deliver.Error{Err: err, Rejected: true, Reason: reasonDamaged}
	}
	if len(r.body) > 0 {
		err = e.post(ctx, r)
		var refused *statusError
		if errors.As(err, &refused) && refused.mayBeEncoding() && r.encoding == encodingZstd {
			err = e.postAsSnappy(ctx, r, refused)
		}
	}
	if err != nil {
		return e.failed(r, err)
	}
	e.metrics.sent(r)
	result := e.result(r.dropped)
	result.Unasked = len(r.body) == 0
	return result, nil
}

// Split cuts a block in two.
func (e *endpoint) Split(b queue.Block) []queue.Block {
	halves, err := e.codec.halve(b)
	if err != nil {
		e.logger.Error("block cannot be cut", "endpoint", e.id, "err", err)
		return nil
	}
	return halves
}

// prepare makes the request for blocks. Usually they go out as they are.
func (e *endpoint) prepare(blocks []queue.Block) (*request, error) {
	r := &request{encoding: encoding(blocks[0].Tag)}
	for i := range blocks {
		r.maxTime = max(r.maxTime, blocks[i].MaxTime)
	}
	now := time.Now()
	if e.shaper.needed(blocks, now) {
		return r, e.reshape(r, blocks, now)
	}
	var err error
	if r.encoding == encodingZstd && e.snappy.Load() {
		return r, e.reencode(r, blocks)
	}
	r.body, r.contents, r.items, err = merge(blocks)
	return r, err
}

// reshape fills r with what the endpoint wants of blocks.
func (e *endpoint) reshape(r *request, blocks []queue.Block, now time.Time) error {
	source, shaped := e.codec.batch(), e.codec.batch()
	defer e.codec.release(source)
	defer e.codec.release(shaped)
	for i := range blocks {
		raw, err := e.codec.decode(source.raw[:0], blocks[i])
		if err != nil {
			return err
		}
		source.raw = raw
		if err := e.shaper.apply(shaped, raw, now, blocks[i].Clock(now)); err != nil {
			return err
		}
	}
	r.contents, r.items, r.dropped = shaped.contents, shaped.items, shaped.dropped
	r.families = append(r.families, shaped.families...)
	if len(shaped.raw) > 0 {
		r.encoding = e.encoding()
		r.body = e.codec.compress(nil, shaped.raw, r.encoding)
	}
	return nil
}

// reencode fills r with blocks in snappy.
func (e *endpoint) reencode(r *request, blocks []queue.Block) error {
	plain := e.codec.batch()
	defer e.codec.release(plain)
	for i := range blocks {
		c, _, err := split(blocks[i])
		if err != nil {
			return err
		}
		r.contents.add(c)
		r.items += blocks[i].Items
		if plain.raw, err = e.codec.decode(plain.raw, blocks[i]); err != nil {
			return err
		}
	}
	r.encoding = encodingSnappy
	r.body = e.codec.compress(nil, plain.raw, encodingSnappy)
	return nil
}

// encoding is what the destination is known to take.
func (e *endpoint) encoding() encoding {
	if e.snappy.Load() {
		return encodingSnappy
	}
	return encodingZstd
}

// postAsSnappy sends r, which was refused in zstd, in snappy.
func (e *endpoint) postAsSnappy(ctx context.Context, r *request, refused *statusError) error {
	raw, err := e.codec.decoder().DecodeAll(r.body, nil)
	if err != nil {
		return refused
	}
	again := *r
	again.encoding = encodingSnappy
	again.body = e.codec.compress(nil, raw, encodingSnappy)
	if err := e.post(ctx, &again); err != nil {
		return err
	}
	*r = again
	if e.snappy.CompareAndSwap(false, true) {
		e.logger.Info("destination takes no zstd; sending snappy from now on", "endpoint", e.id, "url", e.url, "status", refused.status)
	}
	return nil
}

// post sends r once.
func (e *endpoint) post(ctx context.Context, r *request) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RemoteTimeout)
	defer cancel()
	body := &requestBody{data: r.body}
	// Whoever owns the blocks may reuse their memory once Send has returned,
	// but the client may go on reading a body whose request has failed.
	defer body.detach()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.target, body.reader())
	if err != nil {
		return e.clean(err)
	}
	req.ContentLength = int64(len(r.body))
	req.GetBody = func() (io.ReadCloser, error) { return body.reader(), nil }
	e.setHeaders(req, r)
	start := time.Now()
	resp, err := e.client.Do(req)
	if err != nil {
		return e.clean(err)
	}
	defer resp.Body.Close()
	message := httpclient.Beginning(resp, maxMessage)
	e.metrics.duration.Observe(time.Since(start).Seconds())
	refused := &statusError{
		status: resp.StatusCode, message: httpclient.Words(resp, message),
		retryAfter:     httpclient.RetryAfter(resp.Header, time.Now()),
		unacknowledged: httpclient.Unacknowledged(resp, message),
	}
	if resp.StatusCode/100 == 2 && refused.unacknowledged == nil {
		return nil
	}
	return refused
}

func (e *endpoint) setHeaders(req *http.Request, r *request) {
	for name, value := range e.cfg.Headers {
		if !ownHeader(name) {
			httpclient.SetHeader(req, name, value)
		}
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", string(r.encoding))
	if r.encoding == encodingZstd {
		req.Header.Set("X-VictoriaMetrics-Remote-Write-Version", "1")
	} else {
		req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	}
	if e.cfg.SigV4 != nil {
		e.cfg.SigV4.sign(req, r.body, time.Now())
	}
}

// failed says what is to become of a request that failed.
func (e *endpoint) failed(r *request, err error) (deliver.Result, error) {
	if e.shaper.metadata != nil {
		e.shaper.metadata.forget(r.families)
	}
	var refused *statusError
	if !errors.As(err, &refused) {
		e.metrics.retried(r)
		return deliver.Result{}, err
	}
	switch refused.status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		return deliver.Result{}, &deliver.Error{Err: err, Rejected: true}
	case http.StatusRequestEntityTooLarge:
		return deliver.Result{}, &deliver.Error{Err: err, Rejected: true, TooLarge: true}
	case http.StatusTooManyRequests:
		if !e.cfg.Queue.RetryOnHTTP429 {
			// To cut the batch would only send more requests.
			return deliver.Result{Dropped: r.items + r.dropped.total(), Reason: reasonRateLimited, Message: err.Error()}, nil
		}
	}
	// Anything else may be mended at the other side, such as a wrong password
	// or path: what is queued is worth more than a quick answer.
	e.metrics.retried(r)
	return deliver.Result{}, &deliver.Error{Err: err, RetryAfter: refused.retryAfter}
}

// result says what was left out of a request that was taken. There is one
// reason to a result, so the first that applies stands for all; the metric
// samples_dropped_total tells them apart.
func (e *endpoint) result(d drops) deliver.Result {
	e.metrics.leftOut(d)
	r := deliver.Result{Dropped: d.total()}
	switch {
	case d.relabelled > 0:
		r.Reason = reasonRelabelled
	case d.histograms > 0:
		r.Reason = reasonHistograms
	case d.tooOld > 0:
		r.Reason = reasonTooOld
	}
	return r
}

// statusError is an answer that does not acknowledge the data.
type statusError struct {
	status         int
	message        string
	retryAfter     time.Duration
	unacknowledged error // why, if it is neither a refusal nor a failure
}

func (e *statusError) Error() string {
	if e.unacknowledged != nil {
		return e.unacknowledged.Error()
	}
	text := strconv.Itoa(e.status) + " " + http.StatusText(e.status)
	if e.message == "" {
		return text
	}
	return text + ": " + e.message
}

// mayBeEncoding tells whether the status is one with which receivers refuse an
// encoding that they do not know.
func (e *statusError) mayBeEncoding() bool {
	return e.status == http.StatusBadRequest || e.status == http.StatusUnsupportedMediaType
}

// clean takes the URL out of err, which may hold credentials.
func (e *endpoint) clean(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("post to %s: %w", e.url, err)
}

// requestBody is a body that can be taken away from the client.
type requestBody struct {
	mu   sync.Mutex
	data []byte // guarded by mu; nil once detached
	gone bool   // guarded by mu
}

func (b *requestBody) reader() io.ReadCloser { return &bodyReader{body: b} }

// detach ends reading: no reader touches the data afterwards.
func (b *requestBody) detach() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data, b.gone = nil, true
}

type bodyReader struct {
	body   *requestBody
	offset int
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	if r.body.gone {
		return 0, io.ErrClosedPipe
	}
	n := copy(p, r.body.data[r.offset:])
	r.offset += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *bodyReader) Close() error { return nil }
