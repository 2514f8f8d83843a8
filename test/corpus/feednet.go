package corpus

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/grafana/alloy/syntax/ast"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"collector/pkg/profiles/profilestest"
)

// listen makes the server of a component listen on a free port, and returns its address.
// block is the name of the block with listen_address and listen_port.
func (r *run) listen(b *block, name string) string {
	address := freeAddress(r.t)
	host, port, _ := strings.Cut(address, ":")
	if s := child(b.body, name); s != nil {
		b.file.set(s, "listen_address", strconv.Quote(host))
		b.file.set(s, "listen_port", port)
		return address
	}
	at := b.node.LCurlyPos.Offset() + 1
	b.file.edits = append(b.file.edits, edit{at, at, fmt.Sprintf("\n%s {\nlisten_address = %q\nlisten_port = %s\n}\n", name, host, port)})
	return address
}

// post makes a request that has to succeed.
func post(url, contentType string, header map[string]string, body []byte) error {
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := (&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s: %.200s", url, response.Status, text)
	}
	return nil
}

func (r *run) feedPush(b *block) {
	address := r.listen(b, "http")
	feeds := r.lines(b, "", false, func(line string) error {
		body, err := json.Marshal(map[string]any{"streams": []any{map[string]any{
			"stream": map[string]string{"corpus": "yes"}, "values": []any{[]string{strconv.FormatInt(time.Now().UnixNano(), 10), line}},
		}}})
		if err != nil {
			return err
		}
		return post("http://"+address+"/loki/api/v1/push", "application/json", nil, body)
	})
	_, before := r.rulesOf(attribute(b.body, "relabel_rules"))
	known := r.c.texts(attribute(b.body, "labels"))
	known["corpus"] = "yes"
	with(feeds, known, nil, before...)
}

func (r *run) feedFaro(b *block) {
	address := r.listen(b, "server")
	header := map[string]string{}
	if s := child(b.body, "server"); s != nil {
		if key := r.c.text(attribute(s.Body, "api_key")); key != "" {
			header["x-api-key"] = key
		}
	}
	put := func(key string, value any) error {
		body, err := json.Marshal(map[string]any{
			"meta": map[string]any{"app": map[string]string{"name": "corpus", "version": "1"}, "session": map[string]string{"id": "s"}}, key: value,
		})
		if err != nil {
			return err
		}
		return post("http://"+address+"/collect", "application/json", header, body)
	}
	now := func() string { return time.Now().UTC().Format(time.RFC3339Nano) }
	labels := r.c.texts(attribute(b.body, "extra_log_labels"))
	logs := map[string]func(token string, n int) (string, any){
		"log": func(token string, n int) (string, any) {
			return "logs", []any{map[string]any{"message": fmt.Sprintf("%s line %d", token, n), "level": "info", "timestamp": now()}}
		},
		"event": func(token string, _ int) (string, any) {
			return "events", []any{map[string]any{"name": token, "domain": "browser", "timestamp": now()}}
		},
		"exception": func(token string, n int) (string, any) {
			return "exceptions", []any{map[string]any{"type": "Error", "value": fmt.Sprintf("%s %d", token, n), "timestamp": now()}}
		},
		"measurement": func(token string, n int) (string, any) {
			return "measurements", []any{map[string]any{"type": token, "values": map[string]float64{"ttfb": float64(n)}, "timestamp": now()}}
		},
	}
	if len(r.c.paths(b, "logs")) > 0 {
		for _, kind := range []string{"log", "event", "exception", "measurement"} {
			f := r.newFeed(b, kind, "logs")
			f.labels = labels
			token := r.tokenOf(f)
			f.put = func(n int) error {
				key, value := logs[kind](token, n)
				return put(key, value)
			}
		}
	}
	if len(r.c.paths(b, "traces")) > 0 {
		f := r.newFeed(b, "spans", "traces")
		token := r.tokenOf(f)
		f.put = func(int) error {
			text, err := ptraceotlp.NewExportRequestFromTraces(spans(token)).MarshalJSON()
			if err != nil {
				return err
			}
			return put("traces", json.RawMessage(text))
		}
	}
}

// id is a random id of n bytes.
func id(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func resource(to pcommon.Resource) {
	to.Attributes().PutStr("service.name", "corpus")
	to.Attributes().PutStr("service.instance.id", hex.EncodeToString(id(4)))
}

func spans(token string) ptrace.Traces {
	traces := ptrace.NewTraces()
	of := traces.ResourceSpans().AppendEmpty()
	resource(of.Resource())
	span := of.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(token)
	span.SetKind(ptrace.SpanKindServer)
	span.SetTraceID(pcommon.TraceID(id(16)))
	span.SetSpanID(pcommon.SpanID(id(8)))
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Millisecond)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	return traces
}

func points(token string, value float64) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	of := metrics.ResourceMetrics().AppendEmpty()
	resource(of.Resource())
	m := of.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("corpus." + token)
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	p.SetDoubleValue(value)
	return metrics
}

func records(token string, n int) plog.Logs {
	logs := plog.NewLogs()
	of := logs.ResourceLogs().AppendEmpty()
	resource(of.Resource())
	record := of.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	record.SetSeverityNumber(plog.SeverityNumberInfo)
	record.Body().SetStr(fmt.Sprintf("%s line %d", token, n))
	return logs
}

// feedOTLP feeds each signal over each protocol.
func (r *run) feedOTLP(b *block) {
	for _, protocol := range []string{"grpc", "http"} {
		s := child(b.body, protocol)
		if s == nil {
			continue
		}
		address := freeAddress(r.t)
		b.file.set(s, "endpoint", strconv.Quote(address))
		header := map[string]string{}
		if attribute(s.Body, "auth") != nil {
			header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(clientUser+":"+clientPassword))
		}
		for _, signal := range []string{"logs", "metrics", "traces"} {
			if len(r.c.paths(b, signal)) == 0 {
				continue
			}
			f := r.newFeed(b, protocol+" "+signal, signal)
			token, value := r.tokenOf(f), r.valueOf(f)
			f.put = func(n int) error {
				if protocol == "http" {
					return putHTTP(address, signal, header, token, value, n)
				}
				return putGRPC(address, signal, header, token, value, n)
			}
			if signal == "metrics" {
				f.has = func(a arrival) bool { return contains(a, token) && a.value == value }
			}
		}
	}
}

func putHTTP(address, signal string, header map[string]string, token string, value float64, n int) error {
	var body []byte
	var err error
	switch signal {
	case "traces":
		body, err = ptraceotlp.NewExportRequestFromTraces(spans(token)).MarshalProto()
	case "metrics":
		body, err = pmetricotlp.NewExportRequestFromMetrics(points(token, value)).MarshalProto()
	default:
		body, err = plogotlp.NewExportRequestFromLogs(records(token, n)).MarshalProto()
	}
	if err != nil {
		return err
	}
	return post("http://"+address+"/v1/"+signal, "application/x-protobuf", header, body)
}

func putGRPC(address, signal string, header map[string]string, token string, value float64, n int) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for name, value := range header {
		ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value)
	}
	switch signal {
	case "traces":
		_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(spans(token)))
	case "metrics":
		_, err = pmetricotlp.NewGRPCClient(conn).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(points(token, value)))
	default:
		_, err = plogotlp.NewGRPCClient(conn).Export(ctx, plogotlp.NewExportRequestFromLogs(records(token, n)))
	}
	return err
}

// feedIngest pushes profiles in both ways that Pyroscope's clients have.
func (r *run) feedIngest(b *block) {
	address := r.listen(b, "http")
	for _, way := range []string{"push", "ingest"} {
		f := r.newFeed(b, way, "profiles")
		token := r.tokenOf(f)
		f.put = func(n int) error {
			if way == "ingest" {
				query := fmt.Sprintf("name=%s&from=%d&until=%d&format=pprof", token, time.Now().Add(-time.Second).Unix(), time.Now().Unix())
				return post("http://"+address+"/ingest?"+query, "application/octet-stream", nil, profilestest.Pprof(n))
			}
			return pushProfile(address, token, n)
		}
	}
}

func pushProfile(address, token string, n int) error {
	client := pushv1connect.NewPusherServiceClient(http.DefaultClient, "http://"+address)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := client.Push(ctx, connect.NewRequest(&pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{
		Labels:  []*typesv1.LabelPair{{Name: "__name__", Value: "process_cpu"}, {Name: "service_name", Value: token}},
		Samples: []*pushv1.RawSample{{ID: fmt.Sprint("corpus-", n), RawProfile: profilestest.Pprof(n)}},
	}}}))
	return err
}

// quoted is the address of a target in the place of the one in the file: with the
// scheme that it has.
func quoted(before, address string) string {
	if scheme, _, found := strings.Cut(before, "://"); found {
		address = scheme + "://" + address
	}
	return strconv.Quote(address)
}

// field is a field of an object; nil if there is none.
func field(o *ast.ObjectExpr, name string) *ast.ObjectField {
	for _, f := range o.Fields {
		if fieldName(f) == name {
			return f
		}
	}
	return nil
}
