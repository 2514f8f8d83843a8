package generate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"

	"collector-bench/control"
	"collector-bench/receive"
	"collector-bench/wire"
)

const (
	// spansPerRequest is how many spans a request has: some of what an SDK's
	// batch processor sends at most (512).
	spansPerRequest = 100
	// workers is how many requests are under way at most.
	workers = 16
	// patience is how long a request may take, and between attempts.
	patience, pause = 30 * time.Second, 100 * time.Millisecond
	// bodies is how many different profiles there are.
	bodies = 16
)

// sender sends at a pace until it is stopped, and counts.
type sender struct {
	perCall uint64
	rate    float64 // items a second

	mu     sync.Mutex
	total  Total
	cancel context.CancelFunc
	done   chan struct{}
}

func newSender(rate float64, perCall uint64) *sender {
	return &sender{perCall: perCall, rate: rate, done: make(chan struct{})}
}

// serve sends by attempt, which makes one attempt at call n and returns the sum of the
// numbers it carries, until the process is stopped.
func (s *sender) serve(attempt func(ctx context.Context, n uint64) (sum uint64, err error)) error {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	defer cancel()
	go func() {
		defer close(s.done)
		due := pace(ctx, s.rate/float64(s.perCall), workers, func(n uint64) { s.until(n, attempt) })
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total.Behind = due*s.perCall - min(s.total.Items, due*s.perCall)
	}()
	questions := http.NewServeMux()
	questions.HandleFunc("POST "+Stop, func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		<-s.done
		s.mu.Lock()
		defer s.mu.Unlock()
		control.Answer(w, s.total)
	})
	return control.Serve(control.Hello{}, questions)
}

// until makes attempts until one is acknowledged, even if sending has been stopped in the
// middle: what was begun must have a known outcome.
func (s *sender) until(n uint64, attempt func(context.Context, uint64) (uint64, error)) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		sum, err := attempt(ctx, n)
		cancel()
		s.mu.Lock()
		if err == nil {
			s.total.Items += s.perCall
			s.total.Sum += sum
		} else {
			s.total.Failures++
		}
		s.mu.Unlock()
		if err == nil {
			return
		}
		time.Sleep(pause)
	}
}

// Spans is the process that sends spans to address by OTLP over gRPC, so many a
// second, compressed by gzip or not ("none").
func Spans(address string, rate float64, compression string) error {
	options := []grpc.CallOption{grpc.ForceCodecV2(receive.RawCodec{})}
	switch compression {
	case "none":
	case "gzip":
		options = append(options, grpc.UseCompressor(gzip.Name))
	default:
		return fmt.Errorf("compression %q: want none or gzip", compression)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(options...))
	if err != nil {
		return err
	}
	defer conn.Close()
	requests := sync.Pool{New: func() any { return wire.NewSpanRequest(spansPerRequest) }}
	return newSender(rate, spansPerRequest).serve(func(ctx context.Context, n uint64) (uint64, error) {
		r := requests.Get().(*wire.SpanRequest)
		first := n*spansPerRequest + 1
		r.Fill(first, time.Now())
		var answer []byte
		err := conn.Invoke(ctx, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", r.Bytes, &answer)
		if err == nil {
			// After an error gRPC may still be sending the request's bytes.
			requests.Put(r)
		}
		return spansPerRequest*first + spansPerRequest*(spansPerRequest-1)/2, err
	})
}

// Profiles is the process that pushes profiles to url/ingest, so many a second,
// as Pyroscope's SDK for Go does.
func Profiles(base string, rate float64) error {
	type push struct {
		body        []byte
		contentType string
	}
	var pushes []push
	for seed := range uint64(bodies) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, err := w.CreateFormFile("profile", "profile.pprof")
		if err != nil {
			return err
		}
		part.Write(wire.Profile(seed))
		w.Close()
		pushes = append(pushes, push{b.Bytes(), w.FormDataContentType()})
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	return newSender(rate, 1).serve(func(ctx context.Context, n uint64) (uint64, error) {
		until := time.Now().UnixNano()
		// The time at which it began is its number: no two are the same.
		from := uint64(until) - 10e9
		query := url.Values{
			"name": {fmt.Sprintf("bench.cpu{instance=shop-%d}", n%10)}, "from": {fmt.Sprint(from)}, "until": {fmt.Sprint(until)},
			"format": {"pprof"}, "sampleRate": {"100"}, "spyName": {"gospy"},
		}
		p := pushes[n%bodies]
		return from, post(ctx, client, base+"/ingest?"+query.Encode(), p.contentType, p.body)
	})
}

func post(ctx context.Context, client *http.Client, to, contentType string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s: %s", response.Status, text)
	}
	return nil
}
