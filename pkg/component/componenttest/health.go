package componenttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/deliver"
	"collector/pkg/discovery"
	"collector/pkg/docker"
	"collector/pkg/graph"
	"collector/pkg/health"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
	"collector/pkg/reference"
)

// healthy checks that the component's health follows from what it holds: that it
// shows its destinations, targets and so on by the interfaces of package inspect,
// and that it is not healthy where all of them fail.
func (s Suite) healthy(t *testing.T, d component.Definition) {
	t.Helper()
	example, err := reference.Example(d)
	if err != nil {
		t.Fatal(err)
	}
	refusing := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "refused by the test", http.StatusBadRequest)
	}))
	sources := []config.Source{{Name: d.Name, Text: []byte(refusing.set(t, example))}}
	o := s.Options()
	o.StoragePath = t.TempDir()
	id := firstOf(d.Name, sources)
	if id == "" {
		return // a block of the language, or what runs within another
	}
	made, err := graph.Make(o, sources, id)
	if err != nil {
		t.Logf("not made where everything is refused: %v", err)
		return
	}
	shown := health.Parts(made)
	want := partsOf(made, d)
	for _, part := range want {
		if !slices.Contains(shown, part) {
			t.Errorf("the component works with its %s, and its health does not follow from that: it needs %s", part, needed(part))
		}
	}
	if unseen(made) {
		t.Error("the component listens, and nobody sees what clients push to it: it needs Receiving() (inspect.Receiver) or LogTails() (inspect.Tailer)")
	}
	if t.Failed() {
		return
	}
	if slices.Contains(want, health.Destinations) || slices.Contains(want, health.Engine) {
		s.turnsUnhealthy(t, id, sources)
	}
}

// unseen reports whether a component listens and does not show what comes.
func unseen(made any) bool {
	_, listens := made.(interface{ Bind() error })
	_, receives := made.(inspect.Receiver)
	_, tails := made.(inspect.Tailer)
	return listens && !receives && !tails
}

// needed is what gives a component health from a part.
func needed(part string) string {
	switch part {
	case health.Engine:
		return "Engine() inspect.Engine (inspect.EngineUser)"
	case health.Targets:
		return "ScrapeTargets() (inspect.Scraper) or LogTails() (inspect.Tailer)"
	}
	return "Destinations() []deliver.Status (inspect.Deliverer)"
}

// firstOf is the id of the first block of that name.
func firstOf(name string, sources []config.Source) string {
	for line := range strings.SplitSeq(string(sources[0].Text), "\n") {
		if rest, ok := strings.CutPrefix(line, name+" \""); ok {
			label, _, _ := strings.Cut(rest, "\"")
			return name + "." + label
		}
	}
	return ""
}

// partsOf is what the component works with, by the types that it holds.
func partsOf(made any, d component.Definition) []string {
	var parts []string
	h := holder{seen: map[uintptr]bool{}, types: map[reflect.Type]bool{}}
	h.look(reflect.ValueOf(made), reflect.TypeOf(made))
	for _, of := range []struct {
		t    reflect.Type
		part string
	}{
		{reflect.TypeFor[deliver.Writer](), health.Destinations},
		{reflect.TypeFor[queue.Queue](), health.Queue},
		{reflect.TypeFor[docker.Engine](), health.Engine},
	} {
		if h.types[of.t] {
			parts = append(parts, of.part)
		}
	}
	// Components that export targets, or add their labels to data, scrape none.
	readsNone := slices.ContainsFunc(d.Doc.Exports, func(e component.Export) bool {
		return strings.Contains(e.Type, "map(string)") || strings.Contains(e.Type, "Receiver") || strings.Contains(e.Type, "Consumer")
	})
	if !readsNone && takesTargets(d.Config()) {
		if !slices.Contains(health.Parts(made), health.Tails) { // one of the two will do
			parts = append(parts, health.Targets)
		}
	}
	return parts
}

// takesTargets reports whether a configuration has an argument that is a set of
// targets.
func takesTargets(c reflect.Type) bool {
	for i := range c.NumField() {
		if f := c.Field(i); strings.HasPrefix(f.Tag.Get("alloy"), "targets,") && f.Type == reflect.TypeFor[*discovery.Set]() {
			return true
		}
	}
	return false
}

// holder finds the types of what a component holds that does not run.
type holder struct {
	seen  map[uintptr]bool
	types map[reflect.Type]bool
}

// shared are types that the program gives to every component, or that hold what is
// others'.
func shared(t reflect.Type) bool {
	return t == reflect.TypeFor[component.Options]() || t == reflect.TypeFor[deliver.Orphans]() || t == reflect.TypeFor[docker.Pool]()
}

// look adds the types of v, or of t where there is no value. It stops at what is
// shared and at what other packages than the project's have. Of an interface, it only
// looks at what is in it, as that may be another component.
func (h *holder) look(v reflect.Value, t reflect.Type) {
	if shared(t) || t.PkgPath() != "" && !strings.HasPrefix(t.PkgPath(), "collector/") {
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		h.pointer(v, t)
	case reflect.Struct:
		if h.types[t] && !v.IsValid() {
			return
		}
		h.types[t] = true
		for i := range t.NumField() {
			var field reflect.Value
			if v.IsValid() {
				field = v.Field(i)
			}
			h.look(field, t.Field(i).Type)
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		h.elements(v, t)
	case reflect.Interface:
		if v.IsValid() && !v.IsNil() && v.Elem().Kind() == reflect.Pointer {
			h.types[v.Elem().Type().Elem()] = true
		}
	}
}

func (h *holder) pointer(v reflect.Value, t reflect.Type) {
	if !v.IsValid() || v.IsNil() {
		if !h.types[t.Elem()] {
			h.look(reflect.Value{}, t.Elem())
		}
		return
	}
	if at := v.Pointer(); !h.seen[at] {
		h.seen[at] = true
		h.look(v.Elem(), t.Elem())
	}
}

func (h *holder) elements(v reflect.Value, t reflect.Type) {
	h.look(reflect.Value{}, t.Elem())
	if !v.IsValid() || v.Kind() == reflect.Map {
		return
	}
	for i := range v.Len() {
		h.look(v.Index(i), t.Elem())
	}
}

// miscounted names a component whose counts differ from its list.
func miscounted(c *graph.Controller) (problem string) {
	c.Components(func(id string, running any) {
		counter, ok := running.(inspect.Counter)
		if !ok {
			return
		}
		failing, all := counter.Failing()
		listedFailing, listed := 0, 0
		if s, ok := running.(inspect.Scraper); ok {
			for _, target := range s.ScrapeTargets() {
				listed++
				if target.State == "down" {
					listedFailing++
				}
			}
		}
		if s, ok := running.(inspect.Tailer); ok {
			for _, tail := range s.LogTails() {
				listed++
				if tail.Error != "" {
					listedFailing++
				}
			}
		}
		if failing != listedFailing || all != listed {
			problem = fmt.Sprintf("%s counts %d of %d as failing, and lists %d of %d", id, failing, all, listedFailing, listed)
		}
	})
	return problem
}

// turnsUnhealthy runs the example where every server refuses, nobody listens and
// there is no Docker, gives the component data, and waits until it is unhealthy.
func (s Suite) turnsUnhealthy(t *testing.T, id string, sources []config.Source) {
	t.Helper()
	o := s.Options()
	o.StoragePath = t.TempDir()
	c := graph.New(o)
	if err := c.Load(context.Background(), sources); err != nil {
		t.Fatal(err)
	}
	eventually(t, id+" where everything fails", func() string {
		problem := id + " is not there"
		c.Components(func(found string, running any) {
			if found != id {
				return
			}
			problem = ""
			if err := feed(running); err != nil {
				problem = err.Error()
			} else if f := health.Of(running, time.Now()); f.Extent != health.All {
				problem = fmt.Sprintf("its health is still %+v", f)
			}
		})
		return problem
	})
	for _, late := range c.Stop(patience) {
		t.Errorf("%s has not ended with its context", late)
	}
}

// feed gives a component an item by each receiver that it exports.
func feed(running any) error {
	exporter, ok := running.(interface{ Exports() map[string]any })
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var errs []error
	for _, v := range exporter.Exports() {
		now := time.Now()
		switch sink := v.(type) {
		case pipeline.LogsSink:
			errs = append(errs, sink.WriteLogs(ctx, pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("a", "b"), Entries: []pipeline.Entry{{Time: now, Line: "x"}}}}}))
		case pipeline.MetricsSink:
			errs = append(errs, sink.WriteMetrics(ctx, pipeline.Metrics{Samples: []pipeline.Sample{{Series: pipeline.NewSeries(labels.FromStrings("__name__", "a")), T: now.UnixMilli(), V: 1}}}))
		case pipeline.OTLPSink:
			data, err := spans()
			errs = append(errs, err, sink.WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 1}))
		case pipeline.ProfilesSink:
			errs = append(errs, sink.WriteProfile(ctx, pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=a&format=folded&from=1&until=2", Body: []byte("a;b 1\n"), Items: 1}))
		}
	}
	return errors.Join(errs...)
}

// spans is a request with one span.
func spans() ([]byte, error) {
	t := ptrace.NewTraces()
	span := t.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName("x")
	span.SetTraceID([16]byte{1})
	span.SetSpanID([8]byte{1})
	return ptraceotlp.NewExportRequestFromTraces(t).MarshalProto()
}
