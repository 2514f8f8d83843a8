package conformance

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/prompb"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// received is what has arrived at the destinations of one case.
type received struct {
	headers []string // to be noted of OTLP requests

	mu       sync.Mutex
	logs     map[string][]any // by labels
	series   map[string]string
	metadata []any
	otlp     map[string][]any // by signal
	other    []any
	seen     []any
	problem  error // of the first request that could not be read
}

func newReceived(headers []string) *received {
	return &received{headers: headers, logs: map[string][]any{}, series: map[string]string{}, otlp: map[string][]any{}}
}

// ServeHTTP receives requests below /case/.
func (r *received) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // the client has disconnected
	}
	path := strings.TrimPrefix(request.URL.Path, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case strings.HasSuffix(path, "/loki/api/v1/push"):
		err = r.takeLogs(body)
		r.note(request.Header, strings.TrimSuffix(path, "/loki/api/v1/push"), "loki")
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(path, "/api/v1/write"):
		err = r.takeSamples(request, body)
		r.note(request.Header, strings.TrimSuffix(path, "/api/v1/write"), "samples")
		w.WriteHeader(http.StatusNoContent)
	case slices.Contains([]string{"traces", "metrics", "logs"}, path[strings.LastIndex(path, "/")+1:]) && strings.Contains(path, "/v1/"):
		signal := path[strings.LastIndex(path, "/")+1:]
		err = r.takeOTLP(request, signal, body)
		r.note(request.Header, strings.TrimSuffix(path, "/v1/"+signal), signal)
	default:
		r.takeOther(request, path, body)
		// A Connect client accepts an answer only if it has the type of its request.
		w.Header().Set("Content-Type", request.Header.Get("Content-Type"))
	}
	if err != nil && r.problem == nil {
		r.problem = fmt.Errorf("%s %s: %w", request.Method, request.URL, err)
	}
}

// note notes the headers that the case is about. The caller holds mu.
func (r *received) note(header http.Header, path, kind string) {
	if len(r.headers) == 0 {
		return
	}
	have := map[string]any{}
	for _, name := range r.headers {
		if values, ok := header[name]; ok && len(values) > 0 {
			have[name] = values[0]
		}
	}
	r.seen = append(r.seen, map[string]any{"path": path, "kind": kind, "headers": have})
}

func (r *received) takeLogs(body []byte) error {
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return err
	}
	var message push.PushRequest
	if err := message.Unmarshal(raw); err != nil {
		return err
	}
	for _, stream := range message.Streams {
		for _, e := range stream.Entries {
			entry := map[string]any{"ts": strconv.FormatInt(e.Timestamp.UnixNano(), 10), "line": e.Line}
			if len(e.StructuredMetadata) > 0 {
				metadata := map[string]any{}
				for _, m := range e.StructuredMetadata {
					metadata[m.Name] = m.Value
				}
				entry["structured_metadata"] = metadata
			}
			r.logs[stream.Labels] = append(r.logs[stream.Labels], entry)
		}
	}
	return nil
}

func (r *received) takeSamples(request *http.Request, body []byte) error {
	raw, err := snappy.Decode(nil, body)
	if request.Header.Get("Content-Encoding") == "zstd" {
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(nil); err == nil {
			defer decoder.Close()
			raw, err = decoder.DecodeAll(body, nil)
		}
	}
	if err != nil {
		return err
	}
	var message prompb.WriteRequest
	if err := message.Unmarshal(raw); err != nil {
		return err
	}
	for _, ts := range message.Timeseries {
		name := seriesName(ts.Labels)
		for _, s := range ts.Samples {
			r.series[name] = strconv.FormatFloat(s.Value, 'g', -1, 64)
		}
		for _, h := range ts.Histograms {
			r.series[name] = "histogram " + h.String()
		}
		for _, e := range ts.Exemplars {
			name, value := exemplar(name, e)
			r.series[name] = value
		}
	}
	for _, m := range message.Metadata {
		r.metadata = append(r.metadata, map[string]any{"family": m.MetricFamilyName, "type": m.Type.String(), "help": m.Help, "unit": m.Unit})
	}
	return nil
}

// exemplar is an exemplar of a series as the cases have it: a text that was cut before
// the last three words.
func exemplar(series string, e prompb.Exemplar) (name, rest string) {
	var labels []string
	for _, l := range e.Labels {
		labels = append(labels, fmt.Sprintf("{%s %s {} [] 0}", l.Name, l.Value))
	}
	words := strings.Split(fmt.Sprintf("%s exemplar [%s] %v", series, strings.Join(labels, " "), e.Value), " ")
	n := len(words) - 3
	return strings.Join(words[:n], " "), strings.Join(words[n:], " ")
}

func seriesName(pairs []prompb.Label) string {
	var b strings.Builder
	for i, l := range pairs {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%q", l.Name, l.Value)
	}
	return "{" + b.String() + "}"
}

func (r *received) takeOTLP(request *http.Request, signal string, body []byte) (err error) {
	if request.Header.Get("Content-Encoding") == "gzip" {
		unzip, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		if body, err = io.ReadAll(unzip); err != nil {
			return err
		}
	}
	var message interface {
		UnmarshalProto([]byte) error
		UnmarshalJSON([]byte) error
		MarshalJSON() ([]byte, error)
	}
	switch signal {
	case "traces":
		message = ptraceotlp.NewExportRequest()
	case "metrics":
		message = pmetricotlp.NewExportRequest()
	default:
		message = plogotlp.NewExportRequest()
	}
	if strings.HasPrefix(request.Header.Get("Content-Type"), "application/json") {
		err = message.UnmarshalJSON(body)
	} else {
		err = message.UnmarshalProto(body)
	}
	if err != nil {
		return err
	}
	return r.keep(signal, message)
}

// ordinary are the headers that no case is about.
const ordinary = " Accept Accept-Encoding Content-Encoding Content-Length User-Agent X-Prometheus-Remote-Write-Version "

func (r *received) takeOther(request *http.Request, path string, body []byte) {
	headers := map[string]any{}
	for name, values := range request.Header {
		if !strings.Contains(ordinary, " "+name+" ") {
			headers[name] = values[0]
		}
	}
	query := request.URL.Query()
	r.other = append(r.other, map[string]any{
		"path": path, "headers": headers, "bytes": float64(len(body)), "method": request.Method, "query": query.Encode(), "text": strings.ToValidUTF8(string(body), "?"),
	})
}

// output is all that has arrived, in the form of the cases.
func (r *received) output() (map[string]any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]any{}
	if len(r.logs) > 0 {
		var streams []any
		for _, name := range slices.Sorted(maps.Keys(r.logs)) {
			streams = append(streams, map[string]any{"labels": name, "entries": slices.Clone(r.logs[name])})
		}
		out["loki"] = streams
	}
	series := map[string]any{}
	for name, value := range r.series {
		if !strings.Contains(name, "scrape_") && !strings.Contains(name, `__name__="up"`) {
			series[name] = value
		}
	}
	if len(r.series) > 0 {
		out["samples"] = map[string]any{"series": series, "metadata": append([]any{}, r.metadata...)}
	}
	for signal, payloads := range r.otlp {
		out[signal] = slices.Clone(payloads)
	}
	if len(r.other) > 0 {
		out["other"] = slices.Clone(r.other)
	}
	if len(r.seen) > 0 {
		seen := slices.Clone(r.seen)
		sort.SliceStable(seen, func(i, j int) bool { return encoded(seen[i]) < encoded(seen[j]) })
		out["headers_seen"] = seen
	}
	return out, r.problem
}

func encoded(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}
