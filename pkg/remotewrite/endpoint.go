package remotewrite

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/httpclient"
	"collector/pkg/queue"
)

// Reasons for which items are dropped, as the accounting has them.
const (
	reasonRelabeled     = "relabelled"
	reasonHistograms    = "native_histograms_off"
	reasonCustomBuckets = "custom_buckets_unsupported"
	reasonTooOld        = "too_old"
	reasonRateLimited   = "rate_limited"
	reasonDamaged       = "damaged"

	reasonExemplarTooLong = "labels_too_long" // of exemplars alone
)

// endpoint sends blocks to one destination. It is a deliver.Sender.
type endpoint struct {
	id, url string // url is for people
	target  string // url to send to
	cfg     *Endpoint
	client  *httpsend.Client
	codec   *codec
	shaper  shaper
	metrics *endpointMetrics
	logger  *slog.Logger
	// snappy is set once the destination has rejected zstd and accepted snappy.
	snappy atomic.Bool
	two    bool     // it is sent remote write 2.0, which has snappy alone
	aws    *signing // nil: requests are not signed
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
// A destination that answers 400 or 415 to zstd may know only snappy, as remote write 1.0
// has it: the same samples are sent again in snappy, and that result counts. If they are
// accepted, snappy is used from then on.
func (e *endpoint) Send(ctx context.Context, blocks []queue.Block) (deliver.Result, error) {
	r, err := e.prepare(blocks)
	if err != nil {
		return deliver.Result{}, &deliver.Error{Err: err, Rejected: true, Reason: reasonDamaged}
	}
	if len(r.body) > 0 {
		answer, err := e.post(ctx, r)
		if err != nil && r.encoding == encodingZstd && mayBeEncoding(answer.Status) {
			answer, err = e.postAsSnappy(ctx, r, answer, err)
		}
		if err != nil {
			return e.failed(r, answer, err)
		}
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
		e.logger.Error("block cannot be split", "endpoint", e.id, "err", err)
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
	if e.two || r.encoding == encodingZstd && e.snappy.Load() {
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
	if len(shaped.raw) == 0 {
		return nil
	}
	r.encoding = e.encoding()
	var err error
	r.body, err = e.body(shaped.raw, r.encoding)
	return err
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
	var err error
	r.body, err = e.body(plain.raw, encodingSnappy)
	return err
}

// encoding is what the destination is known to accept.
func (e *endpoint) encoding() encoding {
	if e.snappy.Load() {
		return encodingSnappy
	}
	return encodingZstd
}

// postAsSnappy sends r, which was rejected in zstd, in snappy.
func (e *endpoint) postAsSnappy(ctx context.Context, r *request, refused httpsend.Answer, refusal error) (httpsend.Answer, error) {
	raw, err := e.codec.decoder().DecodeAll(r.body, nil)
	if err != nil {
		return refused, refusal
	}
	again := *r
	again.encoding = encodingSnappy
	again.body = e.codec.compress(nil, raw, encodingSnappy)
	answer, err := e.post(ctx, &again)
	if err != nil {
		return answer, err
	}
	*r = again
	if e.snappy.CompareAndSwap(false, true) {
		e.logger.Info("destination does not accept zstd; sending snappy from now on", "destination", e.id, "url", e.url, "status", refused.Status)
	}
	return answer, nil
}

// mayBeEncoding reports whether the status is one with which receivers reject an encoding
// that they do not know.
func mayBeEncoding(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnsupportedMediaType
}

// post sends r once.
func (e *endpoint) post(ctx context.Context, r *request) (httpsend.Answer, error) {
	signed := func(*http.Request, []byte) {}
	if e.aws != nil {
		var err error
		if signed, err = e.aws.signer(ctx); err != nil {
			return httpsend.Answer{}, &deliver.Error{Err: err}
		}
	}
	return e.client.Send(ctx, httpsend.Request{URL: e.target, Body: r.body, Prepare: func(req *http.Request) {
		e.setHeaders(req, r)
		signed(req, r.body)
	}})
}

// observe measures a request that was answered.
func (e *endpoint) observe(status int, took time.Duration) {
	if status != 0 {
		e.metrics.duration.Observe(took.Seconds())
	}
}

func (e *endpoint) setHeaders(req *http.Request, r *request) {
	for name, value := range e.cfg.Headers {
		if !ownHeader(name) {
			httpclient.SetHeader(req, name, value)
		}
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", string(r.encoding))
	switch {
	case e.two:
		req.Header.Set("Content-Type", "application/x-protobuf;proto="+messageV2)
		req.Header.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	case r.encoding == encodingZstd:
		req.Header.Set("X-VictoriaMetrics-Remote-Write-Version", "1")
	default:
		req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	}
}

// failed decides what to do with a request that failed.
func (e *endpoint) failed(r *request, answer httpsend.Answer, err error) (deliver.Result, error) {
	if e.shaper.metadata != nil {
		e.shaper.metadata.forget(r.families)
	}
	if answer.Status == http.StatusTooManyRequests && !e.cfg.Queue.RetryOnHTTP429 {
		// Cutting the batch would only send more requests.
		return deliver.Result{Dropped: r.items + r.dropped.total(), Reason: reasonRateLimited, Message: err.Error(), Err: err}, nil
	}
	return deliver.Result{}, err
}

// result says what was omitted from a request that was accepted. A result has one reason,
// so the first that applies represents all; the metric samples_dropped_total
// distinguishes them.
func (e *endpoint) result(d drops) deliver.Result {
	e.metrics.leftOut(d)
	r := deliver.Result{Dropped: d.total()}
	switch {
	case d.relabeled > 0:
		r.Reason = reasonRelabeled
	case d.histograms > 0:
		r.Reason = reasonHistograms
	case d.tooOld > 0:
		r.Reason = reasonTooOld
	}
	return r
}
