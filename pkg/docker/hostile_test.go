package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
)

// endless writes begin, and then unit again and again until the client goes
// away. It counts what it wrote.
func endless(begin, unit string, wrote *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, begin)
		chunk := bytes.Repeat([]byte(unit), max(1, (64<<10)/len(unit)))
		for {
			n, err := w.Write(chunk)
			wrote.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// engineOf is an Engine whose answers by path, without the version, are the
// test's.
func engineOf(t *testing.T, answers map[string]http.HandlerFunc) *Engine {
	t.Helper()
	silence := func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	list := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") }
	mux := http.NewServeMux()
	for path, answer := range map[string]http.HandlerFunc{
		"/_ping":        func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.41") },
		"/v1.41/events": silence, "/v1.41/networks": list, "/v1.41/containers/json": list,
	} {
		if _, ok := answers[strings.TrimPrefix(path, "/v1.41")]; !ok {
			mux.HandleFunc(path, answer)
		}
	}
	for path, answer := range answers {
		mux.HandleFunc("/v1.41"+path, answer)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	e, err := NewPool(nil).Engine(Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// awaitError waits for the error that ends an attempt.
func awaitError(t *testing.T, e *Engine) error {
	t.Helper()
	for range 600 {
		if err := e.Status().Err; err != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	t.Fatalf("no error after a minute: %+v", e.Status())
	return nil
}

func TestAnswersWithoutEndAreErrorsWithTheirLimit(t *testing.T) {
	nested := strings.Repeat(`{"a":`, 20_000)
	for _, test := range []struct {
		name, path, begin, unit, want string
	}{
		{"tiny containers", "/containers/json", "[{}", ",{}", "the limit is"},
		{"containers with labels", "/containers/json", `[{"Id":"1","Labels":{}}`, `,{"Id":"1","Labels":{"a":"1","b":"2","c":"3"}}`, "the limit is"},
		{"one container", "/containers/json", `[{"Id":"`, "x", "the limit is 1 MiB"},
		{"labels of one container", "/containers/json", `[{"Id":"1","Labels":{"a":"1"`, `,"a":"1"`, "the limit is 1 MiB"},
		{"spaces", "/containers/json", "[", " ", "the limit is 1 MiB"},
		{"nesting", "/containers/json", `[`, nested, "exceeded max depth"},
		{"networks", "/networks", "[{}", ",{}", "the limit is"},
		{"one network", "/networks", `[{"Name":"`, "x", "the limit is 1 MiB"},
		{"one event", "/events", `{"Action":"`, "x", "the limit is 1 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var wrote atomic.Int64
			e := engineOf(t, map[string]http.HandlerFunc{test.path: endless(test.begin, test.unit, &wrote)})
			start(t, e, time.Minute)
			if err := awaitError(t, e); !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			// What is in progress in the connection's buffers is not held.
			if n := wrote.Load(); n > 2*mostHeld {
				t.Errorf("%d MiB were taken", n>>20)
			}
		})
	}
}

func TestEventsWithoutEndFillNoMemory(t *testing.T) {
	for name, labels := range map[string]string{"small": "", "large": strings.Repeat("x", 100_000)} {
		t.Run(name, func(t *testing.T) {
			stream := func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; ; i++ {
					if _, err := fmt.Fprintf(w, `{"Type":"container","Action":"start","Actor":{"ID":"%064d","Attributes":{"a":"%s"}}}`, i, labels); err != nil {
						return
					}
				}
			}
			hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
			e := engineOf(t, map[string]http.HandlerFunc{"/events": stream, "/containers/{id}/json": hang})
			log := &logBuffer{}
			e.logger = slog.New(slog.NewTextHandler(log, nil))
			e.state.limit = 1 << 20
			stop := start(t, e, 0)
			if err := awaitError(t, e); !IsTooLarge(err) {
				t.Errorf("error %v", err)
			}
			stop()
			if !strings.Contains(log.String(), "the limit is") {
				t.Errorf("no message says why:\n%s", log)
			}
		})
	}
}

func TestContainersThatComeAndGoLeaveNothing(t *testing.T) {
	s := newState()
	now := time.Now()
	for i := range 10_000 {
		id := fmt.Sprint(i)
		for _, action := range []string{"create", "destroy"} {
			if err := s.event(now, &events.Message{Type: "container", Action: events.Action(action), Actor: events.Actor{ID: id}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(s.records) != 0 || s.weight != 0 || len(s.wanted) > 10 {
		t.Errorf("%d records of %d bytes, %d inspections are left", len(s.records), s.weight, len(s.wanted))
	}
}

func TestInspectionsWithoutEndAreErrorsWithTheirLimit(t *testing.T) {
	var wrote atomic.Int64
	e := engineOf(t, map[string]http.HandlerFunc{"/containers/{id}/json": endless(`{"Id":"1","Config":{"Labels":{"a":"1"`, `,"a":"1"`, &wrote)})
	if _, err := e.Inspect(t.Context(), "1"); !IsTooLarge(err) || !strings.Contains(err.Error(), "the limit is 1 MiB") {
		t.Errorf("error %v", err)
	}
}

// A real Engine may be large.
func TestTenThousandContainersWithManyLabelsAreListed(t *testing.T) {
	const containers, labels = 10_000, 25
	with := map[string]string{}
	for i := range labels {
		with[fmt.Sprintf("com.example.a.label.of.usual.length.%d", i)] = "a value that is as long as most are"
	}
	text, err := json.Marshal(with)
	if err != nil {
		t.Fatal(err)
	}
	list := func(w http.ResponseWriter, _ *http.Request) {
		begin := "["
		for i := range containers {
			fmt.Fprintf(w, `%s{"Id":"%064d","Names":["/container-%d"],"State":"running","HostConfig":{"NetworkMode":"bridge"},`+
				`"NetworkSettings":{"Networks":{"bridge":{"NetworkID":"1","IPAddress":"10.0.0.2"}}},"Ports":[{"PrivatePort":80,"Type":"tcp"}],"Labels":%s}`, begin, i, i, text)
			begin = ","
		}
		io.WriteString(w, "]")
	}
	e := engineOf(t, map[string]http.HandlerFunc{"/containers/json": list})
	start(t, e, time.Hour)
	s := await(t, e, func(s Snapshot) bool { return s.Listed })
	if len(s.Containers) != containers || len(s.Containers[0].Labels) != labels {
		t.Errorf("%d containers", len(s.Containers))
	}
}

// The largest list that is taken is about as heavy as it is counted.
func TestTheWeightOfAContainerIsWhatItHolds(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	counted := 0
	var held []*Container
	for i := range 2000 {
		var s summaryAnswer
		text := fmt.Sprintf(`{"Id":"%064d","Names":["/c%d"],"State":"running","Labels":{"a":"1","b":"2","c":"3","d":"4","e":"5"},"NetworkSettings":{"Networks":{"n":{"NetworkID":"1"}}}}`, i, i)
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		c := fromSummary(&s).Container
		counted += c.weight()
		held = append(held, &c)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if real := int(after.HeapAlloc) - int(before.HeapAlloc); real > 2*counted {
		t.Errorf("%d containers hold %d bytes and are counted as %d", len(held), real, counted)
	}
	runtime.KeepAlive(held)
}

func TestEventsAreReadAtABoundedRate(t *testing.T) {
	for _, bytes := range []int{100, maxObject} {
		var p pace
		now, events, total := time.Now(), 0, 0
		for end := now.Add(10 * time.Second); now.Before(end); {
			events, total = events+1, total+bytes
			now = now.Add(p.wait(now, bytes)).Add(time.Microsecond)
		}
		if events > 10*eventsPerSecond || total > 10*(eventBytesPerSecond+maxObject) {
			t.Errorf("%d events of %d bytes are read in 10 s", events, bytes)
		}
	}
	var p pace
	now := time.Now()
	for range 10_000 {
		if wait := p.wait(now, 1000); wait > 0 {
			t.Fatalf("1,000 events a second wait for %v", wait)
		}
		now = now.Add(time.Millisecond)
	}
}

// As a map, short labels take ten times the memory of their text.
func TestLabelsThatWouldFillMemoryAreRejected(t *testing.T) {
	var many strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&many, `,"%d":""`, i)
	}
	labels := `"Labels":{"a":"b"` + many.String() + `}`
	for path, answer := range map[string]string{
		"/containers/json": `[{"Id":"1",` + labels + `}]`, "/networks": `[{"Id":"1",` + labels + `}]`,
	} {
		e := engineOf(t, map[string]http.HandlerFunc{path: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }})
		start(t, e, time.Minute)
		if err := awaitError(t, e); !IsTooLarge(err) || !strings.Contains(err.Error(), "the limit is 256 KiB") {
			t.Errorf("%s: error %v", path, err)
		}
	}
	e := engineOf(t, map[string]http.HandlerFunc{
		"/containers/{id}/json": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"Id":"1","Config":{`+labels+`}}`)
		},
		"/networks/{id}": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"Id":"1",`+labels+`}`) },
	})
	for range 2 {
		if _, err := e.Inspect(t.Context(), "1"); !IsTooLarge(err) {
			t.Errorf("inspect: error %v", err)
		}
	}
	if _, err := e.network(t.Context(), "1"); !IsTooLarge(err) {
		t.Errorf("network: error %v", err)
	}
	if n := e.Status().Oversize; n != 3 {
		t.Errorf("%d answers are counted, want 3", n)
	}
}
