package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/admin"
	"collector/pkg/config"
	"collector/pkg/deliver"
	"collector/pkg/graph"
	"collector/pkg/logging"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// backend is a destination of all signals.
type backend struct {
	*httptest.Server
	up   atomic.Bool
	took atomic.Int64 // requests
}

func newBackend(t *testing.T) *backend {
	b := new(backend)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !b.up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b.took.Add(1)
		if strings.HasPrefix(r.URL.Path, "/loki") || strings.HasPrefix(r.URL.Path, "/api") {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// kind is a component that delivers a signal.
type kind struct {
	name, block string // %s: the URL of the backend
	write       func(ctx context.Context, component any) error
}

func kinds(t *testing.T) []kind {
	traces := ptrace.NewTraces()
	traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("a")
	spans, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	return []kind{
		{"loki.write", `endpoint { url = "%s/loki/api/v1/push" }`, func(ctx context.Context, c any) error {
			return c.(pipeline.LogsSink).WriteLogs(ctx, pipeline.Logs{Streams: []pipeline.Stream{{
				Labels: labels.FromStrings("a", "b"), Entries: []pipeline.Entry{{Time: time.Now(), Line: "line"}},
			}}})
		}},
		{"prometheus.remote_write", `endpoint { url = "%s/api/v1/write" }`, func(ctx context.Context, c any) error {
			return c.(pipeline.MetricsSink).WriteMetrics(ctx, pipeline.Metrics{Samples: []pipeline.Sample{{
				Series: pipeline.NewSeries(labels.FromStrings("__name__", "up")), T: time.Now().UnixMilli(), V: 1,
			}}})
		}},
		{"otelcol.exporter.otlphttp", `client { endpoint = "%s" }`, func(ctx context.Context, c any) error {
			return c.(pipeline.OTLPSink).WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: spans, Items: 1})
		}},
		{"pyroscope.write", `endpoint { url = "%s" }`, func(ctx context.Context, c any) error {
			return c.(pipeline.ProfilesSink).WriteProfile(ctx, pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=app", Body: []byte("a 1"), Items: 1})
		}},
	}
}

// site is a storage path with a program on it.
type site struct {
	*graph.Controller
	orphans *deliver.Orphans
}

func newSite(root string) *site {
	log := logging.New(new(bytes.Buffer))
	orphans := deliver.NewOrphans(root, log.Logger())
	return &site{graph.New(graph.Options{
		Kinds: valueKinds(), Definitions: components(log, &admin.Access{}, nil, nil), StoragePath: root, Logger: log.Logger(), Orphans: orphans,
	}), orphans}
}

func (s *site) load(t *testing.T, text string) {
	t.Helper()
	if err := s.Load(t.Context(), []config.Source{{Name: "c.alloy", Text: []byte(text)}}); err != nil {
		t.Fatal(err)
	}
}

// send gives an item to a component.
func (s *site) send(t *testing.T, k kind, id string) {
	t.Helper()
	found := errors.New("there is no " + id)
	s.Components(func(name string, c any) {
		if name == id {
			found = k.write(t.Context(), c)
		}
	})
	if found != nil {
		t.Fatal(found)
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for tick, end := time.NewTicker(20*time.Millisecond), time.After(time.Minute); !is(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal(what)
		}
	}
}

// TestEveryRenamedWriterDeliversWhatWaits renames a writer of each kind, at a
// reload and at a restart, and then removes it.
func TestEveryRenamedWriterDeliversWhatWaits(t *testing.T) {
	for _, k := range kinds(t) {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", k.name, restart), func(t *testing.T) {
				to, root := newBackend(t), t.TempDir()
				block := func(label string) string {
					return fmt.Sprintf("%s %q {\n"+k.block+"\n}\n", k.name, label, to.URL)
				}
				s := newSite(root)
				s.load(t, block("old"))
				s.send(t, k, k.name+".old")
				if restart {
					s.Stop(0)
					s = newSite(root)
				}
				defer func() { s.Stop(0) }()
				s.load(t, "logging { level = \"warn\" }\n"+block("renamed"))
				to.up.Store(true)
				await(t, "nothing is delivered", func() bool { return to.took.Load() == 1 })
				await(t, "the queue stays", func() bool {
					found, err := queue.Find(root)
					for _, f := range found {
						if f.Component == k.name+".old" {
							return false
						}
					}
					return err == nil && len(s.orphans.Status()) == 0
				})
			})
		}
	}
}

// TestQueuesAreListedDrainedAndDropped leaves the queue of a removed writer of each
// kind, and uses the command on it, beside a collector that runs.
func TestQueuesAreListedDrainedAndDropped(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			to, root, file := newBackend(t), t.TempDir(), t.TempDir()+"/c.alloy"
			block := func(label, url string) string {
				return fmt.Sprintf("%s %q {\n"+k.block+"\n}\n", k.name, label, url)
			}
			other := newBackend(t)
			other.up.Store(true)
			s := newSite(root)
			defer s.Stop(0)
			queueOf := func() queue.Folder {
				found, err := queue.Find(root)
				for _, f := range found {
					if f.Component == k.name+".old" {
						return f
					}
				}
				t.Fatalf("no queue: %+v %v", found, err)
				return queue.Folder{}
			}
			command := func(args ...string) (string, error) {
				var out bytes.Buffer
				err := queueCommand(append(args, "--storage.path", root), &out)
				return out.String(), err
			}
			s.load(t, block("old", to.URL))
			s.send(t, k, k.name+".old")
			if _, err := command("drop", relative(root, queueOf().Dir)); !errors.Is(err, queue.ErrInUse) {
				t.Errorf("drop of a queue in use: %v", err)
			}
			if text, err := command("list"); err != nil || !strings.Contains(text, "in use") {
				t.Errorf("list of a queue in use: %v\n%s", err, text)
			}
			s.load(t, block("new", other.URL))
			if left := s.orphans.Status(); len(left) != 1 || left[0].Items != 1 || left[0].Delivering {
				t.Fatalf("named: %+v", left)
			}
			folder := relative(root, queueOf().Dir)
			text, err := command("list")
			if err != nil || !strings.Contains(text, folder) || !strings.Contains(text, to.URL) {
				t.Errorf("list: %v\n%s", err, text)
			}
			writeFile(t, file, block("new", other.URL))
			if _, err := command("drain", folder, "--config", file, "--to", k.name+".nobody"); err == nil {
				t.Error("drain to nobody")
			}
			text, err = command("drain", folder, "--config", file, "--to", k.name+".new")
			if err != nil || text != "delivered 1 items, dropped 0\n" || other.took.Load() != 1 {
				t.Errorf("drain: %v %q, %d requests", err, text, other.took.Load())
			}
			s.load(t, block("old", to.URL))
			s.send(t, k, k.name+".old")
			s.load(t, block("new", other.URL))
			if text, err = command("drop", relative(root, queueOf().Dir)); err != nil || !strings.Contains(text, "deleted 1 items") {
				t.Errorf("drop: %v %q", err, text)
			}
			if text, err = command("list"); err != nil || strings.Contains(text, k.name+".old") {
				t.Errorf("list at the end: %v\n%s", err, text)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
