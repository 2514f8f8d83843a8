package why_test

import (
	"strings"
	"testing"
	"time"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/listen"
)

// pushed are a receiver of which traces flow and some requests are refused, and one to
// which nothing comes.
func pushed() *uitest.Stock {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	return &uitest.Stock{Pushed: []listen.Received{
		{
			Component: "toy.source.a", Listens: []string{"gRPC on 0.0.0.0:4317", "HTTP on 0.0.0.0:4318"},
			Signals: []listen.ReceivedSignal{{Signal: "traces", Items: 1234, Refused: 20, Last: ago(3 * time.Second)}, {Signal: "metrics"}},
			Refused: map[string]uint64{"unauthenticated": 2, "queue_full": 1},
			Last:    listen.Refusal{At: ago(7 * time.Second), Reason: "unauthenticated", Client: "10.0.0.7:4242", Error: "Basic http://u:" + uitest.Planted + "@h/ is not known"},
		},
		{Component: "toy.sink.c", Listens: []string{"HTTP on 0.0.0.0:4040"}, Signals: []listen.ReceivedSignal{{Signal: "profiles"}}},
	}}
}

// For pushed data, the answers cover the path from the receiver to the destination, and
// back.
func TestWhyOfWhatClientsPush(t *testing.T) {
	u := uitest.New(t, uitest.Forked, func(o *ui.Options) {
		o.Inventory = pushed()
		o.Destinations = uitest.Deliveries{
			{Component: "toy.sink.b", ID: "1", URL: "tempo:4317", Signal: "traces", Stores: true, Received: 1234, Queued: 34, Delivered: 1200, LastError: "no", Cause: "Nothing listens at tempo:4317.", Fix: "Start the backend.", OldestQueued: time.Now().Add(-time.Minute)},
		}
	})
	const fix = "Give the client the credentials that the receiver asks for."
	for _, c := range []struct {
		query    string
		n        int // of the subject
		subject  string
		question string
		want     string
	}{
		{"toy.source.a", 0, "receiver toy.source.a", "flowing", "Traces: toy.source.a has received 1,234 spans, the last 3"},
		{"4317", 0, "receiver toy.source.a", "flowing", "Metrics: no client has sent any to toy.source.a (gRPC on 0.0.0.0:4317, HTTP on 0.0.0.0:4318)."},
		{":4318", 0, "receiver toy.source.a", "flowing", "toy.source.a refuses requests: 3 since the start. The last one 7"},
		{"0.0.0.0:4317", 0, "receiver toy.source.a", "flowing", ", from 10.0.0.7:4242 (unauthenticated): Basic http://u:(secret)@h/ is not known."},
		{"toy.source.a", 0, "receiver toy.source.a", "flowing", "toy.sink.b (traces to tempo:4317) is failing: Nothing listens at tempo:4317."},
		{"toy.source.a", 0, "receiver toy.source.a", "behind", "Traces: the last spans reached toy.source.a 3"},
		{"toy.source.a", 0, "receiver toy.source.a", "behind", "toy.sink.b: 34 spans waiting"},
		{"toy.source.a", 0, "receiver toy.source.a", "stops", "bad|At toy.source.a, which refuses requests: the last one 7"},
		{"toy.source.a", 0, "receiver toy.source.a", "stops", "At toy.sink.b, which cannot deliver to tempo:4317: Nothing listens at tempo:4317."},
		{"toy.source.a", 0, "receiver toy.source.a", "stops", fix},
		{"toy.source.a", 0, "receiver toy.source.a", "dropped", "warn|toy.source.a: 1 request refused since the start (reason: queue_full); the clients got an error.|toy.source.a: 2 requests refused since the start (reason: unauthenticated); the clients got an error.|toy.source.a: 20 spans of them could be read."},
		{"profiles", 0, "receiver toy.sink.c", "stops", "warn|Before toy.sink.c: no profiles have come in the last 5 min.|Check that the clients send to HTTP on 0.0.0.0:4040."},
		// A signal is its destinations and its receivers.
		{"traces", 0, "destination tempo:4317", "flowing", "Traces: toy.source.a has received 1,234 spans"},
		{"traces", 0, "destination tempo:4317", "stops", "At toy.source.a, which refuses requests"},
		{"traces", 1, "receiver toy.source.a", "flowing", "bad|"},
	} {
		m := asked(t, u, c.query)
		if len(m.Subjects) <= c.n || m.Subjects[c.n].What+" "+m.Subjects[c.n].Name != c.subject {
			t.Errorf("%s: %+v", c.query, m.Subjects)
			continue
		}
		if got := text(m.Subjects[c.n], c.question); !strings.Contains(got, c.want) {
			t.Errorf("%s, %s:\n%s\nhas not\n%s", c.query, c.question, got, c.want)
		}
	}
	if got := text(asked(t, u, "tempo:4317").Subjects[0], "flowing"); strings.Contains(got, "Metrics") {
		t.Errorf("a destination of traces is told of metrics: %s", got)
	}
	page := uitest.Get(t, u, "/why?q=traces")
	uitest.CheckPage(t, "/why?q=traces", page)
	if overview := uitest.Get(t, u, "/"); !strings.Contains(overview, `href="/why?q=traces"`) {
		t.Error("the card of a signal does not lead there")
	}
}

// A container may push, too; the answer says where that goes.
func TestWhyOfAContainerNamesTheReceivers(t *testing.T) {
	s := shop()
	s.Pushed = pushed().Pushed
	u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.Inventory, o.Destinations = s, destinations() })
	got := text(asked(t, u, "shop-api-1").Subjects[0], "flowing")
	if !strings.Contains(got, "Pushed traces, metrics: clients send them to toy.source.a; from which container they come is not recorded.") || !strings.HasPrefix(got, "good|") {
		t.Error(got)
	}
}
