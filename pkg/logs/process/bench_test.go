package process_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/logs/process"
	"collector/pkg/pipeline"
)

// sinkConfig is a component that takes everything.
type sinkConfig struct{}

type sink struct{}

func (sink) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (s sink) Exports() map[string]any { return map[string]any{"receiver": pipeline.LogsSink(s)} }

func (sink) WriteLogs(context.Context, pipeline.Logs) error { return nil }

// feedConfig is a component that the benchmark writes to.
type feedConfig struct {
	ForwardTo []pipeline.LogsSink `alloy:"forward_to,attr"`
}

type feed struct {
	sink
	to pipeline.LogsSink
}

// newFeed runs a loki.process with these stages, as a configuration has them.
func newFeed(b *testing.B, stages string) pipeline.LogsSink {
	b.Helper()
	in := &feed{}
	controller := graph.New(graph.Options{
		StoragePath: b.TempDir(), Kinds: pipeline.Kinds(),
		Definitions: []component.Definition{
			component.Define("loki.process", process.New, component.Doc{}),
			component.Define("test.sink", func(sinkConfig, component.Options) (*sink, error) { return &sink{}, nil }, component.Doc{}),
			component.Define("test.feed", func(f feedConfig, _ component.Options) (*feed, error) {
				in.to = f.ForwardTo[0]
				return in, nil
			}, component.Doc{}),
		},
	})
	text := "test.sink \"out\" { }\ntest.feed \"in\" { forward_to = [loki.process.x.receiver] }\n" +
		"loki.process \"x\" {\n forward_to = [test.sink.out.receiver]\n" + stages + "\n}\n"
	if err := controller.Load(b.Context(), []config.Source{{Name: "benchmark", Text: []byte(text)}}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { controller.Stop(10 * time.Second) })
	return in.to
}

// linesOf makes the lines of a batch of a pattern, in which %[1]d is the number of a
// line, %[2]s a level and %[3]s the time.
func linesOf(pattern string) pipeline.Logs {
	const batch = 1000
	levels := []string{"info", "info", "debug", "warn", "info", "error"}
	begin := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	s := pipeline.Stream{Labels: labels.FromStrings("app", "shop", "filename", "/var/log/shop.log", "job", "shop")}
	for i := range batch {
		at := begin.Add(time.Duration(i) * time.Millisecond)
		text := fmt.Sprintf(pattern, i, levels[i%len(levels)], at.Format(time.RFC3339Nano))
		for line := range strings.SplitSeq(text, "\n") {
			s.Entries = append(s.Entries, pipeline.Entry{Time: at, Line: line, Metadata: labels.FromStrings("trace_id", "0af7651916cd43dd8448eb211c80319c")})
		}
	}
	return pipeline.Logs{Streams: []pipeline.Stream{s}}
}

// The lines of the benchmarks.
const (
	jsonLine   = `{"time":"%[3]s","level":"%[2]s","msg":"request served","request":{"id":"a1b2c3d4-%[1]d","method":"GET","path":"/api/v1/orders/%[1]d"},"status":200,"duration":0.0123,"client":"203.0.113.7"}`
	logfmtLine = `ts=%[3]s level=%[2]s caller=server.go:142 component=http msg="request served" method=GET path=/api/v1/orders/%[1]d status=200 duration=12.3ms trace_id=0af7651916cd43dd8448eb211c80319c`
	accessLine = `203.0.113.7 - alice [02/Jan/2026:03:04:05 +0000] "GET /api/v1/orders/%[1]d HTTP/1.1" 200 5316 "https://shop.example/cart" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"`
	textLine   = `%[3]s [%[2]s] com.example.shop.OrderService: order %[1]d of customer 4111111111111111 was stored`
	dockerLine = `{"log":"request %[1]d was served, level=%[2]s\n","stream":"stdout","time":"%[3]s"}`
	criLine    = `%[3]s stdout F {"level":"%[2]s","msg":"request %[1]d was served"}`
	criTrace   = "%[3]s stderr F %[3]s ERROR order %[1]d failed\n%[3]s stderr F java.lang.IllegalStateException: no\n" +
		"%[3]s stderr F \tat com.example.Service.call(Service.java:42)\n%[3]s stderr F \tat com.example.Main.main(Main.java:7)"
	colorLine = "\x1b[32m%[2]s\x1b[0m order %[1]d of the customer was stored at %[3]s"
	eventLine = "Message: A service was started.\r\nSubject: S-1-5-18\r\nAccount Name: HOST%[1]d$\r\nLevel: %[2]s"
)

// BenchmarkStages passes batches of 1000 lines through a component with one stage.
// Stages that read what others extract have one before them.
func BenchmarkStages(b *testing.B) {
	for _, of := range []struct{ name, line, stages string }{
		{"cri", criLine, `stage.cri { }`},
		{"decolorize", colorLine, `stage.decolorize { }`},
		{"decolorize_plain", textLine, `stage.decolorize { }`},
		{"docker", dockerLine, `stage.docker { }`},
		{"drop_kept", textLine, `stage.drop { expression = ".*healthcheck.*" }`},
		{"drop_half", textLine, `stage.drop { expression = "\\[(info|debug)\\]" }`},
		{"drop_longer_than", textLine, `stage.drop { longer_than = "8KB" }`},
		{"drop_older_than", textLine, `stage.drop { older_than = "87600h" }`},
		{"eventlogmessage", eventLine, `stage.pattern { pattern = "Message: <message>" } ` + "\n" + `stage.eventlogmessage { }`},
		{"json", jsonLine, `stage.json { expressions = { level = "", msg = "" } }`},
		{"json_nested", jsonLine, `stage.json { expressions = { id = "request.id", method = "request.method" } }`},
		{"json_functions", jsonLine, `stage.json { expressions = { id = "request.id || 'none'" } }`},
		{"label_drop", textLine, `stage.label_drop { values = ["filename"] }`},
		{"label_keep", textLine, `stage.label_keep { values = ["app", "job"] }`},
		{"labels", jsonLine, "stage.json { expressions = { level = \"\" } }\nstage.labels { values = { level = \"\" } }"},
		{"limit", textLine, `stage.limit {
			rate  = 1e12
			burst = 1000000000
		}`},
		{"logfmt", logfmtLine, `stage.logfmt { mapping = { level = "", msg = "" } }`},
		{"luhn", textLine, `stage.luhn { }`},
		{"match", textLine, `stage.match {
			selector = "{app=\"shop\"} |= \"stored\""
			stage.static_labels { values = { stored = "yes" } }
		}`},
		{"match_not", textLine, `stage.match {
			selector = "{app=\"shop\"} |~ \"refused|failed\""
			stage.static_labels { values = { stored = "no" } }
		}`},
		{"match_drop", textLine, `stage.match {
			selector = "{app=\"shop\"} |= \"[debug]\""
			action   = "drop"
		}`},
		{"metrics_counter", textLine, `stage.metrics { metric.counter {
			name      = "lines"
			action    = "inc"
			match_all = true
		} }`},
		{"metrics_histogram", jsonLine, "stage.json { expressions = { duration = \"\" } }\n" + `stage.metrics { metric.histogram {
			name    = "duration"
			buckets = [0.01, 0.1, 1]
		} }`},
		{"multiline_plain", textLine, `stage.multiline { firstline = "^never matches$" }`},
		{"multiline_single", textLine, `stage.multiline { firstline = "^\\d{4}-" }`},
		{"output", jsonLine, "stage.json { expressions = { msg = \"\" } }\nstage.output { source = \"msg\" }"},
		{"pack", textLine, `stage.pack { labels = ["filename", "job"] }`},
		{"pattern", accessLine, `stage.pattern { pattern = "<ip> - <user> [<_>] \"<method> <path> <_>\" <status> <size> <_>" }`},
		{"regex", textLine, `stage.regex { expression = "\\[(?P<level>\\w+)\\]" }`},
		{"regex_access", accessLine, `stage.regex { expression = "^(?P<ip>\\S+) \\S+ (?P<user>\\S+) \\[(?P<time>[^\\]]+)\\] \"(?P<method>\\S+) (?P<path>\\S+) [^\"]*\" (?P<status>\\d{3}) (?P<size>\\d+)" }`},
		{"replace", textLine, `stage.replace {
			expression = "customer (\\d{16})"
			replace    = "****"
		}`},
		{"replace_nothing", textLine, `stage.replace {
			expression = "password=(\\S+)"
			replace    = "****"
		}`},
		{"sampling", textLine, `stage.sampling { rate = 0.5 }`},
		{"split_json", `[{"n":%[1]d},{"level":"%[2]s"}]`, `stage.split_json { }`},
		{"static_labels", textLine, `stage.static_labels { values = { env = "prod" } }`},
		{"structured_metadata", jsonLine, "stage.json { expressions = { level = \"\", id = \"request.id\" } }\nstage.structured_metadata { values = { level = \"\", id = \"\" } }"},
		{"structured_metadata_drop", textLine, `stage.structured_metadata_drop { values = ["trace_id"] }`},
		{"template", jsonLine, "stage.json { expressions = { level = \"\" } }\n" + `stage.template {
			source   = "level"
			template = "{{ ToUpper .Value }}"
		}`},
		{"tenant", textLine, `stage.tenant { label = "app" }`},
		{"timestamp", textLine, "stage.pattern { pattern = \"<ts> <_>\" }\nstage.timestamp {\n source = \"ts\"\n format = \"RFC3339Nano\"\n}"},
		{"timestamp_layout", accessLine, "stage.pattern { pattern = \"<_> [<ts>] <_>\" }\nstage.timestamp {\n source = \"ts\"\n format = \"02/Jan/2006:15:04:05 -0700\"\n}"},
		{"truncate", textLine, "stage.truncate { rule {\n limit = \"40B\"\n suffix = \"...\"\n} }"},
		{"windowsevent", eventLine, `stage.pattern { pattern = "Message: <message>" } ` + "\n" + `stage.windowsevent { }`},
	} {
		b.Run(of.name, func(b *testing.B) { benchmarkStages(b, of.line, of.stages) })
	}
}

const timestampStage = `
	stage.timestamp {
		source = "ts"
		format = "RFC3339Nano"
	}`

// BenchmarkChains passes batches of 1000 lines through stages as configurations have
// them.
func BenchmarkChains(b *testing.B) {
	for _, of := range []struct{ name, line, stages string }{
		{"json_labels_timestamp", jsonLine, `
			stage.json { expressions = { level = "", ts = "time", msg = "" } }
			stage.labels { values = { level = "" } }` + timestampStage},
		{"regex_labels", textLine, `
			stage.regex { expression = "^(?P<ts>\\S+) \\[(?P<level>\\w+)\\] (?P<logger>\\S+): (?P<msg>.*)$" }
			stage.labels { values = { level = "" } }`},
		{"regex_labels_timestamp", textLine, `
			stage.regex { expression = "^(?P<ts>\\S+) \\[(?P<level>\\w+)\\] (?P<logger>\\S+): (?P<msg>.*)$" }
			stage.labels { values = { level = "" } }` + timestampStage},
		{"drop", textLine, `
			stage.drop { expression = ".*(healthcheck|readiness).*" }
			stage.drop { expression = "^\\s*$" }`},
		{"cri_multiline", criTrace, `
			stage.cri { }
			stage.multiline { firstline = "^\\d{4}-\\d{2}-\\d{2}" }`},
		{"docker_multiline", dockerLine, `
			stage.docker { }
			stage.multiline { firstline = "^request" }`},
		{"logfmt_labels_output", logfmtLine, `
			stage.logfmt { mapping = { level = "", msg = "" } }
			stage.labels { values = { level = "" } }
			stage.output { source = "msg" }`},
		{"match_nested", jsonLine, `
			stage.match {
				selector = "{app=\"shop\"} |= \"served\""
				stage.json { expressions = { level = "", id = "request.id" } }
				stage.labels { values = { level = "" } }
			}
			stage.match {
				selector = "{app=\"other\"}"
				stage.regex { expression = "(?P<never>never)" }
			}`},
		{"pack_labels", jsonLine, `
			stage.json { expressions = { level = "" } }
			stage.labels { values = { level = "" } }
			stage.pack { labels = ["level", "filename"] }`},
		{"template_output", jsonLine, `
			stage.json { expressions = { level = "", msg = "" } }
			stage.template {
				source   = "line"
				template = "{{ .level | ToUpper }} {{ .msg }}"
			}
			stage.output { source = "line" }`},
		{"replace_secrets", textLine, `
			stage.replace {
				expression = "(\\d{16})"
				replace    = "{{ .Value | Sha2Hash \"salt\" }}"
			}`},
		{"metrics_of_json", jsonLine, `
			stage.json { expressions = { level = "", status = "", duration = "" } }
			stage.labels { values = { level = "" } }
			stage.metrics {
				metric.counter {
					name   = "requests_total"
					source = "status"
					action = "inc"
				}
				metric.histogram {
					name    = "duration_seconds"
					source  = "duration"
					buckets = [0.01, 0.1, 1]
				}
			}`},
		{"structured_metadata_of_json", jsonLine, `
			stage.json { expressions = { level = "", id = "request.id", trace_id = "request.trace" } }
			stage.labels { values = { level = "" } }
			stage.structured_metadata { values = { id = "", trace_id = "" } }`},
	} {
		b.Run(of.name, func(b *testing.B) { benchmarkStages(b, of.line, of.stages) })
	}
}

func benchmarkStages(b *testing.B, line, stages string) {
	to, logs := newFeed(b, stages), linesOf(line)
	write := func() {
		if err := to.WriteLogs(b.Context(), logs); err != nil {
			b.Fatal(err)
		}
	}
	write()
	allocations := testing.AllocsPerRun(1, write)
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		write()
	}
	lines := float64(logs.Entries())
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N)/lines, "cpu-ns/line")
	b.ReportMetric(allocations/lines, "allocs/line")
}

// cpuTime is what the process has used: on a busy machine, the clock tells little.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
