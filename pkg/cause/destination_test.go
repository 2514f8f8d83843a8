package cause_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"collector/pkg/cause"
	"collector/pkg/cause/causetest"
	"collector/pkg/deliver"
	"collector/pkg/deliver/httpsend"
	"collector/pkg/httpclient"
)

// sent is the result of sending something to a URL.
func sent(t *testing.T, component, url string, timeout time.Duration) cause.Cause {
	t.Helper()
	settings := httpclient.Default()
	client, err := settings.NewPush("test", "agent/1")
	if err != nil {
		t.Fatal(err)
	}
	c := &httpsend.Client{HTTP: client, Timeout: timeout}
	defer c.Close()
	_, err = c.Send(t.Context(), httpsend.Request{URL: url, Body: []byte("data")})
	var failed *deliver.Error
	if !errors.As(err, &failed) {
		t.Fatalf("%v", err)
	}
	return cause.OfDestination(err, cause.Destination{Component: component, URL: url, Dropped: failed.Rejected})
}

// undelivered is a destination that fails, and what is said of it.
type undelivered struct {
	name, component, url string
	kind                 cause.Kind
	text                 string // of the cause; $host is in the URL
	fix                  string
}

const (
	keeps = " Until then, the data waits on disk."
	drops = " Until then, this data is dropped."
)

func TestCausesOfDestinationsThatAnswer(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) string { return "http://" + causetest.HTTP(t, status, "text/plain", body) }
	login := causetest.Handler(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })
	const loki, metrics, otlp, pyroscope = "loki.write.default", "prometheus.remote_write.default", "otelcol.exporter.otlphttp.default", "mine.a/pyroscope.write.default"
	checkSent(t, []undelivered{
		{"400", loki, answer(400, "this is wrong") + "/loki/api/v1/push", cause.Rejected, "$host rejects the data with 400 Bad Request: “this is wrong”.", "Fix what the message names, and check that the URL belongs to a backend for this component: it usually ends in /loki/api/v1/push." + drops},
		{"too old for Loki", loki, answer(400, `entry for stream '{label="limit"}' has timestamp too old: 2020-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-01-01T00:00:00Z`), cause.TooOld, "$host rejects data that is too old or out of order: “entry for stream", "Check the clocks, and raise the age that the backend accepts." + drops},
		{"no label for Loki", loki, answer(400, "error at least one label pair is required per stream"), cause.NoLabels, "$host rejects lines that have no label.", "Give them one: by labels in the source, a rule, or stage.static_labels in loki.process." + drops},
		{"too far behind for Loki", loki, answer(400, "entry too far behind, entry timestamp is: 2026-01-01T00:00:00Z"), cause.TooOld, "$host rejects data that is too old", drops},
		{"out of order for Prometheus", metrics, answer(400, "out of order sample"), cause.TooOld, "$host rejects data that is too old", drops},
		{"too new for Loki", loki, answer(400, "entry for stream '{a=\"b\"}' has timestamp too new: 2099-01-01T00:00:00Z"), cause.InTheFuture, "$host rejects data from the future", drops},
		{"label limits of Loki", loki, answer(400, `entry for stream '{a="b"}' has 31 label names; limit 15`), cause.LabelLimit, "$host rejects labels that exceed its limits", "Drop or shorten labels by a rule"},
		{"label limits of Mimir", metrics, answer(400, "received a series whose number of labels exceeds the limit (actual: 31, limit: 30) series: 'up' (err-mimir-max-label-names-per-series)"), cause.LabelLimit, "$host rejects labels that exceed its limits", drops},
		{"a long line", loki, answer(400, "Max entry size '262144' bytes exceeded for stream '{label=\"b\"}' while adding an entry with length '300000' bytes"), cause.TooLarge, "$host rejects data that is too large", "Raise its limit"},
		{"413", metrics, answer(413, ""), cause.TooLarge, "$host rejects data that is too large.", drops},
		{"429", loki, answer(429, "Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '1' lines"), cause.RateLimited, "$host limits the rate: “Ingestion rate limit", "Raise its limits, or send less." + keeps},
		{"429 without a word", metrics, answer(429, ""), cause.RateLimited, "$host limits the rate.", keeps},
		{"a limit of streams", loki, answer(429, "Maximum active stream limit exceeded when trying to create stream, reduce the number of active streams (reduce labels or reduce label values)"), cause.StreamLimited, "$host has too many streams or series from this sender", keeps},
		{"401", metrics, answer(401, "no"), cause.Unauthorized, "$host rejects the credentials, or requires some (401).", "Set or fix basic_auth, authorization or bearer_token in the endpoint." + keeps},
		{"401 of OTLP", otlp, answer(401, "no"), cause.Unauthorized, "$host rejects the credentials, or requires some (401).", "Set or fix client > auth or client > headers."},
		{"no tenant for Loki", loki, answer(401, "no org id\n"), cause.NoTenant, "$host requires a tenant, and none is set.", "Set tenant_id in the endpoint"},
		{"no tenant for Mimir", metrics, answer(401, "no org id\n"), cause.NoTenant, "$host requires a tenant", `Set headers = {"X-Scope-OrgID" = "…"} in the endpoint.`},
		{"no tenant for Tempo", otlp, answer(401, "no org id\n"), cause.NoTenant, "$host requires a tenant", `Set headers = {"X-Scope-OrgID" = "…"} in client.`},
		{"403", metrics, answer(403, "read only"), cause.Forbidden, "$host does not allow this sender to write (403): “read only”.", keeps},
		{"404", otlp, answer(404, "not here") + "/v1/traces", cause.NotFound, "$host does not accept data at /v1/traces (404).", "Fix the path in the endpoint: it usually has no path, as /v1/metrics, /v1/logs and /v1/traces are appended." + keeps},
		{"404 at a path that is misspelt", loki, answer(404, "404 page not found") + "/loki/api/v1/pusch", cause.NotFound, "$host does not accept data at /loki/api/v1/pusch (404).", "Did you mean /loki/api/v1/push? Fix the path in the URL." + keeps},
		{"405", metrics, answer(405, "") + "/", cause.NotFound, "$host does not accept data at / (405).", "it usually ends in /api/v1/write, for Mimir in /api/v1/push."},
		{"404 of Pyroscope", pyroscope, answer(404, "") + "/pyroscope/ingest", cause.NotFound, "$host does not accept data at /pyroscope/ingest (404).", "it has no path, as /ingest"},
		{"415", metrics, answer(415, "snappy only"), cause.WrongProtocol, "$host does not understand the request (415): “snappy only”.", "it usually ends in /api/v1/write"},
		{"500", metrics, answer(500, "write /data: no space left on device"), cause.DiskFull, "$host has no space left on its disk", "Free some space there." + keeps},
		{"500 for another reason", metrics, answer(500, "boom"), cause.ServerError, "$host answers 500 Internal Server Error: “boom”.", "own log" + "." + keeps},
		{"503", loki, answer(503, "at least 1 live replicas required"), cause.Unavailable, "$host answers 503 Service Unavailable: “at least 1 live replicas required”.", keeps},
		{"a login page", loki, "http://" + login, cause.Login, "$host redirects to http://$host/login, a login page.", keeps},
		{"a redirect", loki, "http://" + causetest.Handler(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://other.example.com/push", http.StatusMovedPermanently)
		}), cause.Redirect,
			"$host redirects to http://other.example.com/push, which is not followed.", "write it in the URL." + keeps},
		{"a web page", loki, "http://" + causetest.HTTP(t, 200, "text/html", page), cause.WebPage, "$host answers with a web page (\"Shop & more\") instead of an acknowledgment.", keeps},
		{"407", loki, answer(407, ""), cause.Unauthorized, "A proxy asks for credentials (407).", "proxy_url"},
		{"418", loki, answer(418, ""), cause.Rejected, "$host rejects the data with 418 I'm a teapot.", keeps},
	})
}

func TestCausesOfDestinationsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	server := grpc.NewServer()
	t.Cleanup(server.Stop)
	rpc := "http://" + causetest.Serving(t, server)
	secure := causetest.StartTLS(t, "127.0.0.1", time.Now().AddDate(1, 0, 0), nil)
	const loki, otlp = "loki.write.default", "otelcol.exporter.otlphttp.default"
	checkSent(t, []undelivered{
		{"nothing listens", loki, "http://" + causetest.Refusing(t), cause.Refused, "Nothing listens at $host.", "Start the backend, or fix the host and the port in the URL." + keeps},
		{"no such name", loki, "http://nowhere.invalid:3100/x", cause.UnknownHost, "The name nowhere.invalid does not resolve.", "Fix the host in the URL"},
		{"no route", loki, "http://224.0.0.1:3100", cause.Unreachable, "There is no route to 224.0.0.1:3100.", "firewall"},
		{"no connection", loki, "http://" + causetest.Deaf(t), cause.NoConnection, "$host does not accept connections within 3 s.", "Check the host in the URL"},
		{"no answer", loki, "http://" + causetest.Mute(t), cause.NoAnswer, "$host accepts the connection but does not answer within 3 s.", "load"},
		{"a closed connection", loki, "http://" + causetest.Closing(t), cause.Closed, "$host closes the connection without a response.", keeps},
		{"https to a plain port", loki, "https://" + causetest.HTTP(t, 204, "", ""), cause.PlainHTTP, "$host speaks plain HTTP, but the URL begins with https://.", "Write http:// in the URL." + keeps},
		{"http to a TLS port", loki, "http://" + secure.Address, cause.WantsTLS, "$host speaks TLS, but the URL begins with http://.", "Write https:// in the URL." + keeps},
		{"http to another TLS port", otlp, "http://" + causetest.Alerting(t), cause.WantsTLS, "$host speaks TLS, but the endpoint begins with http://.", "Write https:// in the endpoint." + keeps},
		{"an unknown authority", loki, "https://" + secure.Address, cause.Certificate, "The certificate of $host is not accepted: it is signed by an authority that the collector does not know.", "ca_file"},
		// A server that speaks first may be heard before it is asked, or afterwards.
		{"gRPC", otlp, rpc, cause.WrongProtocol, "$host ", "usually 4318, or otelcol.exporter.otlp."},
		{"gRPC for logs", loki, rpc, cause.WrongProtocol, "$host ", "Fix the port in the URL."},
		{"SSH", loki, "http://" + causetest.SSH(t), cause.WrongProtocol, "$host does not speak HTTP.", "Fix the port in the URL."},
	})
}

// checkSent sends something to each of the destinations, and compares what is said.
func checkSent(t *testing.T, all []undelivered) {
	t.Helper()
	atOnce(t, all, func(u undelivered) string { return u.name }, func(t *testing.T, u undelivered) {
		timeout := time.Minute
		if u.kind == cause.NoConnection || u.kind == cause.NoAnswer {
			timeout = 3 * time.Second
		}
		got := sent(t, u.component, u.url, timeout)
		_, host, _ := strings.Cut(u.url, "://")
		host, _, _ = strings.Cut(host, "/")
		text := strings.ReplaceAll(u.text, "$host", host)
		if got.Kind != u.kind || !strings.HasPrefix(got.Text, text) || !strings.Contains(got.Fix, u.fix) {
			t.Errorf("\n got %s | %s | %s\nwant %s | %s | %s", got.Kind, got.Text, got.Fix, u.kind, text, u.fix)
		}
		plain(t, got)
	})
}

// What a destination rejects while it accepts the request is the data's fault.
func TestItemsThatAreRejectedWithTheRequestAccepted(t *testing.T) {
	for words, kind := range map[string]cause.Kind{
		"span has no trace ID": cause.Rejected, "sample is too old": cause.TooOld, "partial_success": cause.Rejected,
	} {
		got := cause.OfDestination(&cause.Answer{Err: errors.New(words), Status: 200, Words: words}, cause.Destination{Component: "otelcol.exporter.otlphttp.a", URL: "http://tempo:4318", Dropped: true})
		if got.Kind != kind || !strings.Contains(got.Text, words) || !strings.HasSuffix(got.Fix, drops) {
			t.Errorf("%s: %+v", words, got)
		}
		plain(t, got)
	}
}
