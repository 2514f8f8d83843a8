//go:build integration

package reliability

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/url"
	"testing"

	"github.com/golang/snappy"
	"github.com/grafana/loki/pkg/push"
	"github.com/grafana/pyroscope/api/model/labelset"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/prompb"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/test/harness"
)

// mayRepeat is how often each numbered item of a signal may arrive again: as often as it
// was in a request that the backend has accepted although the collector never learned it.
// Any other repetition is a mistake.
func (r *rig) mayRepeat(t testing.TB, signal string) map[string]int {
	t.Helper()
	out := make(map[string]int)
	unheard := r.Fronts[signal].Unheard()
	if later := r.moved[signal]; later != nil {
		unheard = append(unheard, later.Unheard()...)
	}
	for _, request := range unheard {
		items, err := itemsOf(signal, request)
		if err != nil {
			t.Fatalf("a request of %s cannot be read: %v", signal, err)
		}
		for _, item := range items {
			out[item]++
		}
	}
	return out
}

// itemsOf are the numbers of the items in a request: of lines, their times and
// texts.
func itemsOf(signal string, r harness.Request) ([]string, error) {
	switch signal {
	case "logs":
		return linesOf(r.Body)
	case "metrics":
		return scrapesOf(r.Body)
	case "traces":
		return spansOf(r.Body)
	default:
		query, err := url.ParseQuery(r.Query)
		if err != nil {
			return nil, err
		}
		name, err := labelset.Parse(query.Get("name"))
		if err != nil {
			return nil, err
		}
		return []string{name.Labels()["seq"]}, nil
	}
}

func linesOf(body []byte) (out []string, err error) {
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, err
	}
	var request push.PushRequest
	if err := request.Unmarshal(raw); err != nil {
		return nil, err
	}
	for _, s := range request.Streams {
		for _, e := range s.Entries {
			out = append(out, fmt.Sprint(e.Timestamp.UnixNano(), e.Line))
		}
	}
	return out, nil
}

func scrapesOf(body []byte) (out []string, err error) {
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		decoder, failed := zstd.NewReader(bytes.NewReader(body))
		if failed != nil {
			return nil, failed
		}
		defer decoder.Close()
		if raw, err = io.ReadAll(decoder); err != nil {
			return nil, err
		}
	}
	var request prompb.WriteRequest
	if err := request.Unmarshal(raw); err != nil {
		return nil, err
	}
	for _, series := range request.Timeseries {
		for _, label := range series.Labels {
			if label.Name != "__name__" || label.Value != "workload_scrapes_total" {
				continue
			}
			for _, sample := range series.Samples {
				out = append(out, fmt.Sprint(int(sample.Value)))
			}
		}
	}
	return out, nil
}

func spansOf(body []byte) (out []string, err error) {
	if len(body) < 5 {
		return nil, io.ErrUnexpectedEOF
	}
	message := body[5:] // of one gRPC message
	if body[0] == 1 {
		unzip, err := gzip.NewReader(bytes.NewReader(message))
		if err != nil {
			return nil, err
		}
		if message, err = io.ReadAll(unzip); err != nil {
			return nil, err
		}
	}
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(message); err != nil {
		return nil, err
	}
	for _, rs := range request.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				var seq int
				if _, err := fmt.Sscanf(span.Name(), "span %d", &seq); err == nil {
					out = append(out, fmt.Sprint(seq))
				}
			}
		}
	}
	return out, nil
}

// onceEach compares what was acknowledged, or accepted, with what has arrived: each item
// once, except what the collector had to send again, and as many as mayBeLost.
func (r *rig) onceEach(t testing.TB, signal string, mayBeLost int, acked []int, arrived map[int]int) error {
	t.Helper()
	may := r.mayRepeat(t, signal)
	lost, repeated, again := 0, 0, 0
	for _, seq := range acked {
		n := arrived[seq]
		if n > 1 {
			again++
		}
		if n == 0 {
			lost++
		}
		if n > 1+may[fmt.Sprint(seq)] {
			repeated++
		}
	}
	if lost > mayBeLost || repeated > 0 {
		return fmt.Errorf("of %d items of %s, %d are lost, of which %d may be, and %d repeated that the collector knew had arrived",
			len(acked), signal, lost, mayBeLost, repeated)
	}
	t.Logf("of %d items of %s, %d arrived again, as they had to; %d might have", len(acked), signal, again, len(may))
	return nil
}

// logged is what VictoriaLogs has for a query, without lines that the collector
// had to send again.
func (r *rig) logged(t testing.TB, query string) []harness.LogEntry {
	t.Helper()
	entries, may := r.Logs.Query(t, query), r.mayRepeat(t, "logs")
	seen := make(map[string]bool)
	out := entries[:0]
	for _, e := range entries {
		key := fmt.Sprint(e.Time.UnixNano(), e.Line)
		if seen[key] && may[key] > 0 {
			may[key]--
			continue
		}
		seen[key] = true
		out = append(out, e)
	}
	return out
}
