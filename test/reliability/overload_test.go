//go:build integration

package reliability

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

const (
	overloadMemory = 128 << 20
	// overloadQueue caps the queue of spans.
	overloadQueue = 64 << 20
	recoveryTime  = 10 * time.Second
)

// TestO3_OverloadIsRefusedRetryably gives the collector 128 MiB, and far more
// spans, profiles and lines than it can hold, while its destinations are away
// and then slow.
func TestO3_OverloadIsRefusedRetryably(t *testing.T) {
	engine := harness.StartEngine(t) // not in parallel: an overload would starve others
	var writers []string
	for i := range 3 {
		writers = append(writers, engine.Run(t, harness.Container{
			Name: fmt.Sprintf("flood-%d", i), Args: []string{"-lines=20000", "-sizes=200,2000,20000", "-stay"},
		}))
	}
	config := strings.Replace(outagesConfig, "\tretry_on_failure {", fmt.Sprintf(
		"\tsending_queue {\n\t\tqueue_size = %d\n\t\tsizer = \"bytes\"\n\t}\n\n\tretry_on_failure {", overloadQueue), 1)
	r := newRig(t, engine, patient(config))
	for _, f := range r.Fronts {
		f.Set(t, harness.Outage{Refuse: true})
	}
	group := r.LimitMemory(t, overloadMemory)
	r.Start(t)
	pid := r.Pid()
	peak := watchMemory(t, func() int64 { return rssOf(pid) })

	flood := r.startFlood(t)
	harness.Wait(harness.For(6*time.Second, 5*time.Minute))
	if used := storageUsed(t, r.Storage+"/otelcol.exporter.otlp.default"); used > overloadQueue {
		t.Errorf("the queue of spans takes %d bytes, more than its cap", used)
	}
	r.Accounts(t)
	for _, f := range r.Fronts { // slow: each answer takes its time
		f.Judge(func(*http.Request, []byte) *harness.Outage {
			harness.Wait(500 * time.Millisecond)
			return nil
		})
		f.Set(t, harness.Outage{})
	}
	harness.Wait(harness.For(6*time.Second, 5*time.Minute))
	harness.Eventually(t, catchUp, flood.eachGetsOn)
	flood.stop()
	t.Logf("refused: %s", r.refusals(t))
	for _, f := range r.Fronts {
		f.Judge(nil)
	}
	noise := harness.StartNoise(t) // the flood itself does not count
	began := time.Now()
	send := r.spanSender(t)
	harness.Eventually(t, catchUp, func() error { return send(laterSpans) })
	harness.Eventually(t, catchUp, func() error { return r.profileSender()(laterSpans) })
	took, limit := time.Since(began), noise.Bound(recoveryTime)
	t.Logf("spans and profiles were taken again after %s", took.Round(time.Millisecond))
	if took > limit {
		t.Errorf("spans and profiles were taken again after %s, %s are allowed", took, limit)
	}

	harness.Eventually(t, 2*catchUp, func() error {
		for _, signal := range []string{"logs", "traces", "profiles"} {
			if a := r.account(t, signal); a.Queued > 0 || a.Dropped > 0 {
				return fmt.Errorf("%+v", a)
			}
		}
		return nil
	})
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	flood.check(t, r)
	for _, id := range writers {
		harness.Eventually(t, catchUp, func() error {
			_, err := r.checkLines(t, id)
			return err
		})
	}
	t.Logf("at most %d MiB resident", peak()>>20)
	r.Stop(t)
}

// flood is what is sent in an overload, and what was answered.
type flood struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	next     int            // guarded by mu
	spans    []int          // acknowledged; guarded by mu
	profiles []int          // acknowledged; guarded by mu
	answers  map[string]int // guarded by mu
	wrong    map[string]int // refusals that no client would retry; guarded by mu
}

// startFlood starts more clients than the collector has room for.
func (r *rig) startFlood(t *testing.T) *flood {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &flood{cancel: cancel, next: largeSpans, answers: make(map[string]int), wrong: make(map[string]int)}
	t.Cleanup(f.stop)
	each := func(clients int, pause time.Duration, send func(ctx context.Context, seq int) (ok bool)) {
		for range clients {
			f.wg.Go(func() {
				for ctx.Err() == nil {
					if !send(ctx, f.number()) {
						select {
						case <-time.After(pause):
						case <-ctx.Done():
						}
					}
				}
			})
		}
	}
	client := r.traceClient(t)
	each(24, 20*time.Millisecond, func(ctx context.Context, seq int) bool { return f.sendGRPC(t, ctx, client, seq, 2<<20) })
	each(24, 20*time.Millisecond, func(ctx context.Context, seq int) bool {
		return f.sendHTTP("HTTP", harness.Address(r.HTTPPort)+"/v1/traces", "application/x-protobuf", largeSpan(t, seq, 2<<20), seq, &f.spans)
	})
	noise := make([]byte, 4<<20)
	rand.Read(noise)
	noise = protowire.AppendBytes(protowire.AppendTag(nil, 100, protowire.BytesType), noise) // an unknown field
	each(24, 500*time.Millisecond, func(ctx context.Context, seq int) bool {
		body, contentType := profilestest.Multipart(
			profilestest.Part{Name: "profile", File: "profile.pprof", Content: profilestest.Pprof(seq)},
			profilestest.Part{Name: "labels", File: "labels.pb", Content: noise})
		f.sendHTTP("profiles", harness.Address(r.PyroscopePort)+"/ingest?"+harness.ProfileQuery(seq), contentType, body, seq, &f.profiles)
		return false
	})
	return f
}

// refusals are the OTLP requests that were refused, by transport and reason.
func (r *rig) refusals(t *testing.T) string {
	t.Helper()
	var all []string
	for _, m := range r.Collector.Metrics(t)["otelcol_receiver_refused_requests_total"].GetMetric() {
		var by []string
		for _, l := range m.GetLabel() {
			if l.GetName() == "transport" || l.GetName() == "reason" {
				by = append(by, l.GetValue())
			}
		}
		if n := m.GetCounter().GetValue(); n > 0 {
			all = append(all, fmt.Sprintf("%s: %v", strings.Join(by, " "), n))
		}
	}
	return strings.Join(all, ", ")
}

// traceClient is a client of the collector's gRPC port that does not retry.
func (r *rig) traceClient(t *testing.T) ptraceotlp.GRPCClient {
	t.Helper()
	conn, err := grpc.NewClient(harness.Address(r.GRPCPort), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return ptraceotlp.NewGRPCClient(conn)
}

func (f *flood) number() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	return f.next
}

// eachGetsOn fails while nothing of some kind of client has been accepted.
func (f *flood) eachGetsOn() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, taken := range []string{"gRPC OK", "HTTP 200", "profiles 200"} {
		if f.answers[taken] == 0 {
			return fmt.Errorf("never answered %s: %v", taken, f.answers)
		}
	}
	return nil
}

func (f *flood) stop() {
	f.cancel()
	f.wg.Wait()
}

// answered records an answer. acked is where its number goes if it was an acknowledgment.
func (f *flood) answered(answer string, ok, retryable bool, seq int, acked *[]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[answer]++
	if ok {
		*acked = append(*acked, seq)
	} else if !retryable {
		f.wrong[answer]++
	}
}

func (f *flood) sendGRPC(t *testing.T, ctx context.Context, client ptraceotlp.GRPCClient, seq, size int) bool {
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(largeSpan(t, seq, size)); err != nil {
		t.Error(err)
		return false
	}
	_, err := client.Export(context.WithoutCancel(ctx), request)
	st := status.Convert(err)
	hinted := false
	for _, d := range st.Details() {
		_, is := d.(*errdetails.RetryInfo)
		hinted = hinted || is
	}
	retryable := hinted && (st.Code() == codes.Unavailable || st.Code() == codes.ResourceExhausted)
	answer := "gRPC " + st.Code().String()
	if err != nil && !retryable {
		answer += ": " + st.Message()
	}
	f.answered(answer, err == nil, retryable, seq, &f.spans)
	return err == nil
}

func (f *flood) sendHTTP(what, url, contentType string, body []byte, seq int, acked *[]int) bool {
	resp, err := http.Post("http://"+url, contentType, bytes.NewReader(body))
	if err != nil {
		// A client that keeps sending after a refusal may see its connection cut before
		// it reads the answer. It retries as well.
		cut := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
		text := what + ": cut off"
		if !cut {
			text = what + ": " + err.Error()
		}
		f.answered(text, false, cut, seq, acked)
		return false
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	retryable := resp.Header.Get("Retry-After") != "" &&
		(resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests)
	f.answered(fmt.Sprintf("%s %d", what, resp.StatusCode), resp.StatusCode == http.StatusOK, retryable, seq, acked)
	return resp.StatusCode == http.StatusOK
}

// check compares what has arrived with what was acknowledged.
func (f *flood) check(t *testing.T, r *rig) {
	t.Helper()
	t.Logf("answers: %v", f.answers)
	if len(f.wrong) > 0 {
		t.Errorf("refusals that a client would not retry: %v", f.wrong)
	}
	if len(f.spans) == 0 || len(f.profiles) == 0 {
		t.Errorf("%d spans and %d profiles were acknowledged", len(f.spans), len(f.profiles))
	}
	if err := r.onceEach(t, "traces", 0, f.spans, r.Traces.SpanNumbers()); err != nil {
		t.Errorf("spans: %v", err)
	}
	if err := r.onceEach(t, "profiles", 0, f.profiles, harness.ProfileNumbers(r.Profile)); err != nil {
		t.Errorf("profiles: %v", err)
	}
}
