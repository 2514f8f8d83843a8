//go:build integration

package reliability

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/listen"
	"collector/pkg/logs/lokitest"
	"collector/pkg/profiles/profilestest"
	"collector/pkg/remotewrite/remotewritetest"
	"collector/test/harness"
	"collector/test/receivertest"
)

const (
	receiversMemory = 256 << 20
	receiversGood   = 50 // requests for each listener
)

// field is a field of protobuf that is a message with these parts.
func field(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

// packed compresses data.
func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// deepSpans is an OTLP request whose attribute is a list of a list, and so on.
func deepSpans(depth int) []byte {
	var value []byte
	for range depth {
		value = field(5, field(1, value)) // array_value, values
	}
	attribute := field(1, field(1, []byte("deep")), field(2, value))
	return field(1, field(1, attribute)) // resource_spans, resource
}

// emptyPushes are pushes of profiles with millions of empty elements, of a few
// kilobytes each.
func emptyPushes(t *testing.T) (bodies []receivertest.Body) {
	t.Helper()
	label := field(1, field(1, []byte("service_name")), field(2, []byte("a")))
	const size = 4 * mib
	empty := func(number protowire.Number) []byte { return bytes.Repeat(field(number), size/2) }
	for name, data := range map[string][]byte{
		"empty series": empty(1), "empty labels": field(1, label, empty(1)), "empty samples": field(1, label, empty(2)),
	} {
		bodies = append(bodies, receivertest.Body{Name: name, Data: packed(t, data), Packed: true})
	}
	return bodies
}

// badJSON is deeply nested JSON after a beginning and, for each pair of a beginning and
// an element, 20 MiB of such elements.
func badJSON(t *testing.T, nested string, elements ...string) []receivertest.Body {
	t.Helper()
	header := map[string]string{"Content-Type": "application/json"}
	bodies := []receivertest.Body{{Name: "deep nesting", Data: []byte(nested + strings.Repeat("[", mib)), Header: header}}
	for i := 0; i < len(elements); i += 2 {
		data := elements[i] + strings.Repeat(elements[i+1], (20*mib-len(elements[i]))/len(elements[i+1]))
		bodies = append(bodies, receivertest.Body{Name: elements[i] + elements[i+1], Data: packed(t, []byte(data)), Packed: true, Header: header})
	}
	return bodies
}

// receiversConfig has every listener; the arguments are addresses and ports.
const receiversConfig = `
otelcol.receiver.otlp "in" {
	grpc { endpoint = %q }
	http { endpoint = %q }
	output { traces = [otelcol.exporter.otlp.out.input] }
}

otelcol.exporter.otlp "out" {
	client {
		endpoint = %q
		tls { insecure = true }
	}
}

loki.source.api "in" {
	http {
		listen_address = "127.0.0.1"
		listen_port    = %d
	}
	use_incoming_timestamp = true
	forward_to             = [loki.write.out.receiver]
}

loki.source.syslog "in" {
	listener {
		address = %q
		labels  = {job = "good"}
	}
	forward_to = [loki.write.out.receiver]
}

loki.write "out" {
	endpoint { url = %q }
}

faro.receiver "in" {
	extra_log_labels = {job = "good"}
	server {
		listen_port = %d
		rate_limiting { enabled = false }
	}
	output { logs = [loki.write.out.receiver] }
}

pyroscope.receive_http "in" {
	http {
		listen_address = "127.0.0.1"
		listen_port    = %d
	}
	forward_to = [pyroscope.write.out.receiver]
}

pyroscope.write "out" {
	endpoint { url = %q }
}

prometheus.receive_http "in" {
	http {
		listen_address = "127.0.0.1"
		listen_port    = %d
	}
	forward_to = [prometheus.remote_write.out.receiver]
}

prometheus.remote_write "out" {
	endpoint { url = %q }
}

prometheus.exporter.statsd "in" {
	listen_udp = ""
	listen_tcp = %q
}
`

// listeners are the listeners of a collector, by their addresses.
//
// Some are in no suite. Those by UDP (otelcol.receiver.jaeger, loki.source.syslog,
// prometheus.exporter.statsd) have nobody who is slow: a datagram comes whole or not at
// all, is at most 64 KiB, is never compressed, and while none is read the kernel drops
// what is too much. The Docker proxy is a command of its own, which forwards the few
// requests that it allows to Docker, and buffers none; its own tests attack it.
func listeners(t *testing.T, c *harness.Collector, grpc, otlp, push, pages, profiles, samples string) []receivertest.Listener {
	lokiURL := "http://" + push + "/loki/api/v1/push"
	pagesURL, profilesURL := "http://"+pages+"/collect", "http://"+profiles
	asProtobuf := map[string]string{"Content-Type": "application/x-protobuf"}
	spans, client := harness.SpanSender(t, grpc), strangers()
	return []receivertest.Listener{{
		Name: "otlp by gRPC", GRPC: true, Limit: 16 << 20, Unpacks: true, Header: map[string]string{},
		Bad:  []receivertest.Body{{Name: "deep nesting", Data: deepSpans(2000)}},
		URL:  "http://" + grpc + "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
		Good: spans,
	}, {
		Name: "otlp by HTTP", URL: "http://" + otlp + "/v1/traces", Limit: 20 << 20, Unpacks: true, Header: asProtobuf,
		Bad: badJSON(t, `{"resourceSpans":`, `{"resourceSpans":[`, `{},`, `{"resourceSpans":[{"resource":{"attributes":[`, `{},`),
		Good: func(n int) error {
			return post(client, "http://"+otlp+"/v1/traces", asProtobuf["Content-Type"], spanRequest(receiversGood+n))
		},
	}, {
		Name: "otlp by HTTP, from the same address", URL: "http://" + otlp + "/v1/traces", Limit: 20 << 20, Unpacks: true, Header: asProtobuf,
		SameAddress: true,
		Good: func(n int) error {
			return post(client, "http://"+otlp+"/v1/traces", asProtobuf["Content-Type"], spanRequest(2*receiversGood+n))
		},
	}, {
		Name: "pyroscope.receive_http", URL: profilesURL + "/push.v1.PusherService/Push", Limit: 64 << 20, Unpacks: true,
		Header: map[string]string{"Content-Type": "application/proto"}, Bad: append(emptyPushes(t), badJSON(t, `{"series":`)...),
		Good: harness.ProfileSender(profilesURL),
	}, {
		Name: "prometheus.receive_http", URL: "http://" + samples + "/api/v1/metrics/write", Limit: 2 * listen.WithinMemory(16<<20),
		Header: map[string]string{"Content-Type": "application/x-protobuf"}, Bad: badWrites(),
		Good: func(n int) error { return pushSample(client, "http://"+samples+"/api/v1/metrics/write", n) },
	}, {
		Name: "loki.source.api", URL: lokiURL, Limit: 100 << 20, Unpacks: true, Header: asProtobuf,
		Bad:  badJSON(t, `{"unknown":`, `{"streams":[{"stream":{"a":"b"},"values":[`, `["1",""],`, `{"streams":[`, `{"stream":{"a":"b"},"values":[["1",""]]},`),
		Good: func(n int) error { return pushLine(client, lokiURL, n) },
	}, {
		Name: "faro.receiver", URL: pagesURL, Limit: 5 << 20, Header: map[string]string{"Content-Type": "application/json"},
		Bad:  badPayloads(),
		Good: func(n int) error { return pushPage(client, pagesURL, receiversGood+n) },
	}, {
		Name: "admin", URL: c.URL + "/-/reload", Header: map[string]string{},
		Good: func(int) error { return ready(client, c.URL) },
	}}
}

// TestNoListenerStarvesGoodClientsForBadOnes attacks every listener of a collector that
// has 256 MiB, one after the other, with the whole suite.
func TestNoListenerStarvesGoodClientsForBadOnes(t *testing.T) {
	traces, loki, pyroscope := harness.StartOTLPServer(t), lokitest.New(t), profilestest.NewServer(t) // not in parallel, as memory is limited
	grpc, otlp, syslog := harness.Address(harness.FreePort(t)), harness.Address(harness.FreePort(t)), harness.Address(harness.FreePort(t))
	push, pages, profiles, samples := harness.FreePort(t), harness.FreePort(t), harness.FreePort(t), harness.FreePort(t)
	statsd, metrics := harness.Address(harness.FreePort(t)), remotewritetest.New(t, nil)
	c := harness.NewCollector(t, fmt.Sprintf(receiversConfig, grpc, otlp, traces.Address, push, syslog, loki.URL(), pages, profiles, pyroscope.URL, samples, metrics.URL, statsd))
	group := c.LimitMemory(t, receiversMemory)
	c.Start(t)
	pid := c.Pid()
	peak := watchMemory(t, func() int64 { return rssOf(pid) })

	for _, l := range listeners(t, c, grpc, otlp, harness.Address(push), harness.Address(pages), harness.Address(profiles), harness.Address(samples)) {
		t.Run(l.Name, func(t *testing.T) { l.Test(t, receiversGood) })
	}
	t.Run("loki.source.syslog", func(t *testing.T) { syslogListener(syslog).Test(t, receiversGood) })
	t.Run("prometheus.exporter.statsd", func(t *testing.T) { statsdListener(statsd).Test(t, receiversGood) })
	t.Logf("at most %d MiB resident", peak()>>20)
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	for _, refused := range []string{"otelcol_receiver_refused_requests_total", "pyroscope_receive_http_dropped_profiles_total", "loki_source_api_refused_requests_total", "loki_source_syslog_parsing_errors_total", "faro_receiver_refused_requests_total", "prometheus_receive_http_refused_requests_total"} {
		if c.Metric(t, refused) == 0 {
			t.Errorf("%s counts nothing", refused)
		}
	}
	harness.Eventually(t, time.Minute, func() error {
		for name, arrived := range map[string][2]int{
			"spans":    {len(traces.SpanNumbers()), 3 * receiversGood},
			"profiles": {len(harness.ProfileNumbers(pyroscope)), receiversGood},
			"lines":    {len(loki.Entries()), 3 * receiversGood},
			"samples":  {len(metrics.Samples()), receiversGood},
			"counts":   {counted(t, c), receiversGood},
		} {
			if arrived[0] != arrived[1] {
				return fmt.Errorf("%d of %d %s have arrived", arrived[0], arrived[1], name)
			}
		}
		return c.Drained(t)
	})
	c.Stop(t)
}

// syslogListener is loki.source.syslog at that address.
func syslogListener(address string) receivertest.Stream {
	return receivertest.Stream{
		Address: address, Begin: "<13>",
		Bad: []receivertest.Body{
			{Name: "no priority", Data: bytes.Repeat([]byte("<999>1 - - - - - - x\n"), mib/16)},
			{Name: "a long line", Data: append([]byte("<13>"), make([]byte, 4*mib)...)},
			{Name: "a long message", Data: append([]byte("4194304 <13>1 - - - - - - "), make([]byte, 4*mib)...)},
			{Name: "a length without end", Data: bytes.Repeat([]byte("9"), mib)},
			{Name: "another protocol", Data: []byte("GET / HTTP/1.1\r\n\r\n")},
			{Name: "an end within a message", Data: []byte("100 <13>1 - - - - - - x")},
		},
		Good: func(n int) error {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = fmt.Fprintf(conn, "<13>1 - - - - - - message %d\n", n)
			return err
		},
	}
}

// statsdListener is the TCP listener of prometheus.exporter.statsd at that address.
func statsdListener(address string) receivertest.Stream {
	return receivertest.Stream{
		Address: address, Begin: "bad",
		Bad: []receivertest.Body{
			{Name: "no StatsD", Data: bytes.Repeat([]byte("bad\n"), mib/16)},
			{Name: "no numbers", Data: bytes.Repeat([]byte("bad:x|c\n"), mib/16)},
			{Name: "a long line", Data: append([]byte("bad:1|c|#"), make([]byte, 4*mib)...)},
			{Name: "samples without end", Data: bytes.Repeat([]byte("bad:1|ms|@0.000000001\n"), mib/64)},
			{Name: "another protocol", Data: []byte("GET / HTTP/1.1\r\n\r\n")},
		},
		Good: func(int) error {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = io.WriteString(conn, "good:1|c\n")
			return err
		},
	}
}

// counted is how many good lines prometheus.exporter.statsd has counted; -1 if it has
// counted bad ones.
func counted(t *testing.T, c *harness.Collector) int {
	t.Helper()
	resp, err := http.Get(c.URL + "/api/v0/component/prometheus.exporter.statsd.in/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.SplitSeq(string(page), "\n") {
		if value, is := strings.CutPrefix(line, "good "); is {
			n, _ = strconv.Atoi(value) // 0 until it is a number
		}
		if strings.HasPrefix(line, "bad") {
			return -1
		}
	}
	return n
}

// pushLine pushes a line of that number to loki.source.api.
func pushLine(client *http.Client, url string, n int) error {
	body := fmt.Sprintf(`{"streams":[{"stream":{"job":"good"},"values":[["%d","line %d"]]}]}`, 1700000000000000000+n, n)
	resp, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("line %d: %s", n, resp.Status)
	}
	return nil
}

// pushSample pushes a sample of that number to prometheus.receive_http.
func pushSample(client *http.Client, url string, n int) error {
	label := func(name, value string) []byte { return field(1, field(1, []byte(name)), field(2, []byte(value))) }
	value := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(float64(n)))
	at := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), uint64(1700000000000+n))
	body := field(1, label("__name__", "good"), label("number", strconv.Itoa(n)), field(2, value, at))
	resp, err := client.Post(url, "application/x-protobuf", bytes.NewReader(snappy.Encode(nil, body)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("sample %d: %s", n, resp.Status)
	}
	return nil
}

// badWrites are requests for prometheus.receive_http that unpack to too much, or of
// which a decoder makes many times their size.
func badWrites() []receivertest.Body {
	const size = 8 * mib
	packed := func(data []byte) []byte { return snappy.Encode(nil, data) }
	many := func(parts ...[]byte) []byte {
		element := field(1, parts...)
		return packed(bytes.Repeat(element, size/len(element)))
	}
	return []receivertest.Body{
		{Name: "a bomb", Data: packed(make([]byte, 128*mib))},
		{Name: "a length that lies", Data: []byte("\xff\xff\xff\xff\x0f")},
		{Name: "no protobuf", Data: packed(bytes.Repeat([]byte{0xff}, size))},
		{Name: "labels without end", Data: packed(field(1, bytes.Repeat(field(1), size/2)))},
		{Name: "a broken series behind many", Data: packed(append(bytes.Repeat(field(1), size/2), field(1, []byte{0x0a, 9})...))},
		{Name: "histograms without end", Data: many(bytes.Repeat(field(4), 1000))},
		{Name: "exemplars without end", Data: many(bytes.Repeat(field(3), 1000))},
		{Name: "nested groups", Data: packed(bytes.Repeat([]byte{0x0b}, size))},
	}
}

// badPayloads are payloads for faro.receiver of which a decoder makes many times their
// size, or whose lines would be.
func badPayloads() []receivertest.Body {
	const size = 5*mib - 1000
	many := func(before, element string) []byte {
		return []byte(before + strings.Repeat(element, (size-len(before))/len(element)))
	}
	long := `{"meta":{"page":{"url":"` + strings.Repeat("u", mib) + `"}},"logs":[{}`
	return []receivertest.Body{
		{Name: "deep nesting", Data: many(`{"unknown":`, "[")},
		{Name: "empty logs", Data: append(many(`{"logs":[{}`, ",{}"), "]}"...)},
		{Name: "a long URL in each line", Data: append(many(long, ",{}"), "]}"...)},
		{Name: "compressed", Data: []byte("\x1f\x8b\x08\x00"), Packed: true},
	}
}

// pushPage sends a log of that number to faro.receiver.
func pushPage(client *http.Client, url string, n int) error {
	resp, err := client.Post(url, "application/json", strings.NewReader(fmt.Sprintf(`{"logs":[{"message":"line %d"}]}`, n)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("log %d: %s", n, resp.Status)
	}
	return nil
}

// ready reports whether the collector is ready.
func ready(client *http.Client, url string) error {
	resp, err := client.Get(url + "/-/ready")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", resp.Status)
	}
	return nil
}
