package interval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// sink is a destination that is down at times.
type sink struct {
	otlptest.Sink
	fails atomic.Pointer[error]
}

func (s *sink) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	if err := s.fails.Load(); err != nil {
		return *err
	}
	return s.Sink.WriteOTLP(ctx, r)
}

func (s *sink) fail(err error) { s.fails.Store(&err) }

// text is what has arrived since the last call.
func (s *sink) text(t *testing.T) (text string) {
	t.Helper()
	for _, r := range s.Taken() {
		text += otlptest.Text(t, r)
	}
	return text
}

func start(t *testing.T, to pipeline.OTLPSink, o component.Options, change func(*Config)) (p *Processor, stop func()) {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Output = flow.Output{Metrics: []pipeline.OTLPSink{to}}
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	o.ID = "otelcol.processor.interval.x"
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "x")
	}
	p, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return p, stop
}

// request has one metric of each kind that waits, two series of one of them, and two
// metrics that don't wait, all with that value at that second.
func request(t *testing.T, second, value int) pipeline.OTLP {
	t.Helper()
	at := fmt.Sprintf(`"startTimeUnixNano":"1","timeUnixNano":"%d000000000"`, second)
	return otlptest.JSON(t, pipeline.SignalMetrics, fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeMetrics":[{"scope":{"name":"lib"},"metrics":[
		{"name":"sum","unit":"1","description":"of all","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[
			{%[1]s,"asInt":"%[2]d","attributes":[{"key":"a","value":{"stringValue":"x"}},{"key":"b","value":{"intValue":"1"}}]},
			{%[1]s,"asInt":"%[2]d","attributes":[{"key":"a","value":{"stringValue":"y"}}]}]}},
		{"name":"gauge","gauge":{"dataPoints":[{%[1]s,"asInt":"%[2]d"}]}},
		{"name":"histogram","histogram":{"aggregationTemporality":2,"dataPoints":[{%[1]s,"count":"%[2]d","sum":1,"bucketCounts":["%[2]d"],"explicitBounds":[]}]}},
		{"name":"exponential","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{%[1]s,"count":"%[2]d","sum":1}]}},
		{"name":"summary","summary":{"dataPoints":[{%[1]s,"count":"%[2]d","sum":1}]}},
		{"name":"delta","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{%[1]s,"asInt":"%[2]d"}]}},
		{"name":"updown","sum":{"aggregationTemporality":2,"dataPoints":[{%[1]s,"asInt":"%[2]d"}]}}]}]}]}`, at, value))
}

func write(t *testing.T, p *Processor, requests ...pipeline.OTLP) {
	t.Helper()
	for _, r := range requests {
		if err := p.WriteOTLP(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func expect(t *testing.T, text string, has, not []string) {
	t.Helper()
	for _, s := range has {
		if !strings.Contains(text, s) {
			t.Errorf("no %s in %s", s, text)
		}
	}
	for _, s := range not {
		if strings.Contains(text, s) {
			t.Errorf("%s in %s", s, text)
		}
	}
}

func TestTheLatestValuesAreForwardedAtTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{}, nil)
		write(t, p, request(t, 10, 1))
		expect(t, to.text(t), []string{`"delta"`, `"updown"`}, []string{`"sum",`, "gauge", "istogram", "summary"})
		write(t, p, request(t, 30, 3), request(t, 20, 2)) // the last is late
		to.Taken()
		time.Sleep(59 * time.Second) // of the bubble
		if n := len(to.Got()); n > 0 {
			t.Errorf("%d requests too early", n)
		}
		time.Sleep(2 * time.Second)
		got := to.One(t)
		expect(t, to.text(t), []string{
			`"sum","description":"of all","unit":"1"`, `"asInt":"3"`, `"count":"3"`, `"gauge"`, `"histogram"`, `"exponentialHistogram"`, `"summary"`, `"shop"`, `"lib"`,
		}, []string{"delta", "updown", `"asInt":"1"`, `"asInt":"2"`})
		if got.Items != 6 {
			t.Errorf("%d points of 6 series", got.Items)
		}
		time.Sleep(5 * time.Minute)
		if n := len(to.Got()); n > 0 {
			t.Errorf("%d requests without anything new", n)
		}
	})
}

func TestWhatPassesThroughDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{}, func(c *Config) {
			c.PassThrough, c.Interval = PassThrough{Gauge: true, Summary: true}, 5*time.Second
		})
		write(t, p, request(t, 10, 1))
		expect(t, to.text(t), []string{`"gauge"`, `"summary"`, `"delta"`}, []string{"istogram"})
		time.Sleep(6 * time.Second)
		expect(t, to.text(t), []string{`"histogram"`}, []string{`"gauge"`, `"summary"`})
	})
}

// What is held of a request is unaffected when its sender repeats the request for the
// rest.
func TestARequestStaysWithItsSenderUntilAllOfItIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{}, nil)
		to.fail(pipeline.ErrFull)
		if err := p.WriteOTLP(t.Context(), request(t, 10, 1)); !errors.Is(err, pipeline.ErrFull) {
			t.Errorf("got %v", err)
		}
		to.fails.Store(nil)
		write(t, p, request(t, 10, 1))
		time.Sleep(2 * time.Minute)
		points := 0
		for _, r := range to.Taken() {
			points += r.Items
		}
		if points != 8 {
			t.Errorf("%d of 8 points arrived", points)
		}
		if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalMetrics, Data: []byte{0xff}, Items: 1}); !pipeline.IsPermanent(err) {
			t.Errorf("what cannot be decoded: %v", err)
		}
	})
}

func TestWhatWaitsSurvivesTheDeathOfTheCollector(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{Dir: dir}, nil)
		write(t, p, request(t, 10, 1), request(t, 20, 2))
		// As after a kill: the files stay as they are, and another one is begun.
		copied := filepath.Join(t.TempDir(), "x")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(copied, 0o700); err != nil {
			t.Fatal(err)
		}
		var next sink
		q, _ := start(t, &next, component.Options{Dir: copied}, nil)
		write(t, q, request(t, 15, 7)) // older than what was held
		next.Taken()
		time.Sleep(2 * time.Minute)
		expect(t, next.text(t), []string{`"asInt":"2"`, `"histogram"`}, []string{`"asInt":"7"`, `"asInt":"1"`})
		if left, _ := filepath.Glob(filepath.Join(copied, "*"+suffix)); len(left) > 0 {
			t.Errorf("%q are left of what was forwarded", left)
		}
	})
}

func TestWhatNoOutputAcceptsIsKeptAcrossAStop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	metrics := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, stop := start(t, &to, component.Options{Dir: dir, Metrics: metrics}, nil)
		write(t, p, request(t, 10, 1))
		to.fail(pipeline.ErrFull)
		time.Sleep(3 * time.Minute) // it waits for the output
		began := time.Now()
		stop()
		if took := time.Since(began); took > 2*stopGrace {
			t.Errorf("stopping took %v", took)
		}
		if err := p.WriteOTLP(t.Context(), request(t, 20, 2)); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
	if lost := otlptest.Counter(t, metrics, "otelcol_processor_lost_items_total", "stopped"); lost != 0 {
		t.Errorf("%v items are counted as lost", lost)
	}
	synctest.Test(t, func(t *testing.T) {
		var to sink
		_, stop := start(t, &to, component.Options{Dir: dir}, nil)
		synctest.Wait()
		stop() // forwards it at the end, too
		expect(t, to.text(t), []string{`"sum"`, `"asInt":"1"`}, nil)
	})
}

func TestWhatAnOutputRejectsIsCountedAndNotKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	metrics := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{Dir: dir, Metrics: metrics}, nil)
		write(t, p, request(t, 10, 1), pipeline.OTLP{Signal: pipeline.SignalLogs, Items: 3})
		to.fail(pipeline.Permanent(errors.ErrUnsupported))
		time.Sleep(2 * time.Minute)
	})
	for reason, want := range map[string]float64{"rejected": 6, "wrong_signal": 3} {
		if lost := otlptest.Counter(t, metrics, "otelcol_processor_lost_items_total", reason); lost != want {
			t.Errorf("%s: %v of %v items are counted", reason, lost, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// Damage costs what comes after it in its file, and is logged.
func TestADamagedJournalIsReadAsFarAsItIsWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _, _, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []pipeline.OTLP{request(t, 10, 1), request(t, 20, 2)} {
		if err := j.append(r.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	file := j.file.Name()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, int64(len(data)-3)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		var to sink
		_, stop := start(t, &to, component.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil)
		synctest.Wait()
		stop()
		expect(t, to.text(t), []string{`"asInt":"1"`}, []string{`"asInt":"2"`})
	})
	if !strings.Contains(log.String(), "damaged") {
		t.Errorf("the log: %s", &log)
	}
}

func TestAFullJournalAndABadFolderAreErrorsForTheSender(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	j, _, _, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	j.size = journalLimit
	if err := j.append([]byte("x")); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	j.size = 0
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := j.append([]byte("x")); err == nil || pipeline.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := openJournal(dir); err == nil {
		t.Error("a file is taken for the folder")
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00abcdx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, whole := readRecords(data)
		total := 0
		for _, r := range records {
			total += recordHeader + len(r)
		}
		if total > len(data) || whole != (total == len(data)) {
			t.Errorf("%d bytes of records in %d, whole: %v", total, len(data), whole)
		}
	})
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "interval: ", func(c *Config) { c.Interval = 0 })
}
