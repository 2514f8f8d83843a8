//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/grafana/pyroscope/api/model/labelset"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

// outage is how long every destination is away.
const outage = 60 * time.Second

// TestEachItemArrivesOnce stops and starts containers and the collector, and
// takes every destination away, while lines, spans and profiles keep coming.
// Each that was acknowledged arrives once.
func TestEachItemArrivesOnce(t *testing.T) {
	s := startStack(t)
	writer := s.Engine.Run(t, harness.Container{
		Name: "steady", Labels: compose("demo", "steady"),
		Args: []string{"-lines=100000", "-interval=10ms", "-streams=stdout,stderr", "-stay"},
	})
	restarted := s.Engine.Run(t, harness.Container{
		Name: "restarted", Labels: compose("demo", "restarted"), Args: []string{"-lines=2000", "-interval=1ms", "-stay"},
	})
	s.Collector.Start(t)
	load := startLoad(t, s)

	t.Log("docker stop and start")
	for range 3 {
		stopAndStart(t, s.Engine, restarted)
	}
	t.Log("restart of the collector")
	s.Collector.Stop(t)
	stopAndStart(t, s.Engine, restarted)
	s.Collector.Start(t)

	t.Logf("outage of %s", outage)
	for _, p := range s.Proxies {
		p.Set(t, harness.Refuse)
	}
	harness.Wait(outage / 2)
	s.Collector.Accounts(t)
	t.Log("restart of the collector in the outage")
	s.Collector.Stop(t)
	s.Collector.Start(t)
	stopAndStart(t, s.Engine, restarted)
	harness.Wait(outage / 2)
	for _, p := range s.Proxies {
		p.Set(t, harness.None)
	}

	spans, profiles := load.stop()
	s.Engine.Client.ContainerStop(context.Background(), writer, container.StopOptions{})
	t.Logf("%d spans and %d profiles were acknowledged", len(spans), len(profiles))
	for name, id := range map[string]string{"steady": writer, "restarted": restarted} {
		labels := map[string]string{"platform": "docker", "project": "demo", "service": name, "container": name}
		harness.Eventually(t, 90*time.Second, func() error { return s.checkLogs(t, id, labels) })
	}
	harness.Eventually(t, 60*time.Second, func() error { return checkSpans(t, s, spans) })
	harness.Eventually(t, 60*time.Second, func() error { return compareProfiles(profiles, s.Pyroscope) })
	harness.Eventually(t, 30*time.Second, func() error { return s.Collector.Drained(t) })
	for _, account := range s.Collector.Accounts(t) {
		t.Logf("%+v", account)
		if account.Dropped > 0 {
			t.Errorf("%s dropped %v items", account.Component, account.Dropped)
		}
	}
	s.Collector.Stop(t)
}

func stopAndStart(t *testing.T, engine *harness.Engine, id string) {
	t.Helper()
	second := 1
	if err := engine.Client.ContainerStop(context.Background(), id, container.StopOptions{Timeout: &second}); err != nil {
		t.Fatal(err)
	}
	if err := engine.Client.ContainerStart(context.Background(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Wait(3 * time.Second)
}

// checkSpans is nil once the spans of those ids have arrived, and no others.
func checkSpans(t *testing.T, s *stack, want []string) error {
	got, err := receivedSpans(s.Tempo.Traces())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range want {
		if _, ok := got[id]; !ok {
			return fmt.Errorf("span %s has not arrived; %d have, of %d", id, len(got), len(want))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d spans arrived, %d were acknowledged", len(got), len(want))
	}
	return nil
}

// load sends a span and a profile every 100 ms, again and again until it is
// acknowledged, as a client has to.
type load struct {
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	spans    []string // ids acknowledged
	profiles []request
}

func startLoad(t *testing.T, s *stack) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	t.Cleanup(cancel)
	l.wg.Go(func() { l.sendSpans(ctx, t, harness.Address(s.GRPCPort)) })
	l.wg.Go(func() { l.sendProfiles(ctx, t, "http://"+harness.Address(s.PyroscopePort)) })
	return l
}

// stop ends the load, once what is under way is acknowledged.
func (l *load) stop() ([]string, []request) {
	l.cancel()
	l.wg.Wait()
	return l.spans, l.profiles
}

// repeat calls send for 1, 2, 3 … until ctx ends, each until it succeeds.
func repeat(ctx context.Context, t *testing.T, send func(seq int) error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for seq := 1; ; seq++ {
		for tries := 0; ; tries++ {
			err := send(seq)
			if err == nil {
				break
			}
			if tries > 300 {
				t.Errorf("item %d: %v", seq, err)
				return
			}
			harness.Wait(100 * time.Millisecond)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *load) sendSpans(ctx context.Context, t *testing.T, address string) {
	// A retry of the client's own could repeat what the collector has taken;
	// a refused connection cannot.
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure(),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}))
	if err != nil {
		t.Error(err)
		return
	}
	made := tracetest.NewInMemoryExporter()
	tracer := trace.NewTracerProvider(trace.WithSyncer(made)).Tracer("load")
	repeat(ctx, t, func(seq int) error {
		if len(made.GetSpans()) == 0 {
			_, span := tracer.Start(context.Background(), fmt.Sprintf("span %d", seq))
			span.End()
		}
		if err := exporter.ExportSpans(context.Background(), made.GetSpans().Snapshots()); err != nil {
			return err
		}
		l.spans = append(l.spans, made.GetSpans()[0].SpanContext.SpanID().String())
		made.Reset()
		return nil
	})
}

func (l *load) sendProfiles(ctx context.Context, t *testing.T, url string) {
	repeat(ctx, t, func(seq int) error {
		query := fmt.Sprintf("name=backend.cpu%%7Bseq%%3D%d%%7D&from=%d&until=%d&format=pprof&sampleRate=100&spyName=gospy", seq, 1700000000+seq, 1700000001+seq)
		body, contentType := profilestest.Multipart(profilestest.Part{Name: "profile", File: "profile.pprof", Content: profilestest.Pprof(seq)})
		resp, err := http.Post(url+"/ingest?"+query, contentType, bytes.NewReader(body))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", resp.Status)
		}
		l.profiles = append(l.profiles, request{"/ingest", query, contentType, body})
		return nil
	})
}

// compareProfiles is nil once each profile that was sent has arrived, as it was
// sent, once, and nothing else has.
func compareProfiles(sent []request, server *profilestest.Server) error {
	arrived := make(map[string]int)
	for _, r := range server.Requests() {
		key, err := profileKey(request{r.Path, r.Query, r.ContentType, r.Body})
		if err != nil {
			return err
		}
		arrived[key]++
	}
	for i, r := range sent {
		key, err := profileKey(r)
		if err != nil {
			return err
		}
		if n := arrived[key]; n != 1 {
			return fmt.Errorf("profile %d of %d (%s?%s) arrived %d times", i+1, len(sent), r.Path, r.Query, n)
		}
	}
	if len(arrived) != len(sent) {
		return fmt.Errorf("%d profiles arrived, %d were acknowledged", len(arrived), len(sent))
	}
	return nil
}

// profileKey tells profiles apart by all that was sent. The labels inside the
// name may stand in any order, and the application's name may stand among them
// as service_name, too: Alloy sorts them and adds that.
func profileKey(r request) (string, error) {
	query, err := url.ParseQuery(r.Query)
	if err != nil {
		return "", err
	}
	name, err := labelset.Parse(query.Get("name"))
	if err != nil {
		return "", err
	}
	if _, ok := name.Labels()["service_name"]; !ok {
		name.Add("service_name", name.ServiceName())
	}
	query.Set("name", name.Normalized())
	return fmt.Sprintf("%s?%s %s %x", r.Path, query.Encode(), r.ContentType, sha256.Sum256(r.Body)), nil
}
