package profiles

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/httpserver"
)

// pushLabel is an encoded PushRequest of one series with one label, which may be
// of any bytes.
func pushLabel(name, value string) []byte {
	pair := protowire.AppendString(protowire.AppendTag(nil, fieldLabelName, protowire.BytesType), name)
	pair = protowire.AppendString(protowire.AppendTag(pair, fieldLabelValue, protowire.BytesType), value)
	series := protowire.AppendBytes(protowire.AppendTag(nil, fieldLabels, protowire.BytesType), pair)
	return protowire.AppendBytes(protowire.AppendTag(nil, fieldSeries, protowire.BytesType), series)
}

// A text that quotes a request, and its copies, would take many times the memory
// that the request has claimed.
func TestARefusalQuotesLittleOfARequest(t *testing.T) {
	const size = 1 << 20
	invalid, control := strings.Repeat("\xff", size), strings.Repeat("\x01", size)
	for name, err := range map[string]error{
		"value":       errOf(checkPush(pushLabel("a", invalid))),
		"name":        errOf(checkPush(pushLabel(control, "v"))),
		"application": errOf(parseName(control)),
		"label":       errOf(parseName("app{" + control + "=v}")),
		"set":         labelSet{control: invalid}.check(),
	} {
		if err == nil || len(err.Error()) > httpserver.MaxReason {
			t.Errorf("%s: an error of %d bytes", name, len(fmt.Sprint(err)))
		}
	}

	var log bytes.Buffer
	r := start(t, receiveConfig(), func(r *Receive) { r.options.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for name, request := range map[string]struct{ contentType, body string }{
		"protobuf": {"application/proto", string(pushLabel("a", invalid))},
		"JSON":     {"application/json", `{"series":"` + strings.Repeat("x", size) + `"}`},
	} {
		resp, text := post(t, r.url+pushProcedure, request.contentType, strings.NewReader(request.body))
		if resp.StatusCode != http.StatusBadRequest || len(text) > 2*httpserver.MaxReason {
			t.Errorf("%s: answered %s with %d bytes", name, resp.Status, len(text))
		}
	}
	client := h2c()
	defer client.CloseIdleConnections()
	request := pushOf(&pushv1.RawProfileSeries{Labels: []*typesv1.LabelPair{{Name: control, Value: "v"}}})
	_, err := pushv1connect.NewPusherServiceClient(client, r.url, connect.WithGRPC()).Push(t.Context(), connect.NewRequest(request))
	if connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("gRPC: %.200v", err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if log.Len() > 8*httpserver.MaxReason {
		t.Errorf("%d bytes are logged", log.Len())
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestTheHeaderOfAProfileIsBounded(t *testing.T) {
	r := start(t, receiveConfig(&sink{}))
	for size, want := range map[int]int{httpserver.MaxHeader / 2: http.StatusOK, 2 * httpserver.MaxHeader: http.StatusRequestHeaderFieldsTooLarge} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /ingest?name=app HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", size))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%d bytes are answered %s, want %d", size, resp.Status, want)
		}
	}
}
