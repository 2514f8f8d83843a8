package profiles

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"collector/pkg/pipeline"
)

// h2c is a client that speaks HTTP/2 without TLS, as gRPC does.
func h2c() *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: transport}
}

func TestPushByEveryProtocol(t *testing.T) {
	request := pushOf(
		series([]string{"p", "q"}, "__name__", "cpu", "service_name", "a", "z", "1"),
		series([]string{"r"}, "service_name", "b"))
	for name, options := range map[string][]connect.ClientOption{
		"connect":      nil,
		"connect gzip": {connect.WithSendGzip()},
		"JSON":         {connect.WithProtoJSON()},
		"gRPC":         {connect.WithGRPC()},
		"gRPC gzip":    {connect.WithGRPC(), connect.WithSendGzip()},
		"gRPC JSON":    {connect.WithGRPC(), connect.WithProtoJSON()},
		"gRPC-Web":     {connect.WithGRPCWeb()},
	} {
		for transport, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2": h2c()} {
			if transport == "HTTP/1.1" && strings.HasPrefix(name, "gRPC") && name != "gRPC-Web" {
				continue
			}
			t.Run(name+" "+transport, func(t *testing.T) {
				s := &sink{}
				r := start(t, receiveConfig(s))
				pusher := pushv1connect.NewPusherServiceClient(client, r.url, options...)
				defer client.CloseIdleConnections()
				if _, err := pusher.Push(t.Context(), connect.NewRequest(request)); err != nil {
					t.Fatal(err)
				}
				got := s.profiles()
				if len(got) != 1 || got[0].Route != pipeline.ProfilePush || got[0].Items != 3 {
					t.Fatalf("got %+v", got)
				}
				arrived := &pushv1.PushRequest{}
				if err := proto.Unmarshal(got[0].Body, arrived); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(request, arrived, protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestPushKeepsProtobufAsItCame(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	// Fields in an order that no library would write, and an unknown one.
	body := []byte("\x98\x06\x07\x0a\x19\x12\x03\x0a\x01p\x0a\x12\x12\x04name\x0a\x0aservice_na\x98\x06\x07")
	body = append(body[:3], marshal(t, pushOf(series([]string{"p"}, "z", "1", "service_name", "a", "b", "2")))...)
	resp, text := post(t, r.url+pushProcedure, "application/proto", bytes.NewReader(body))
	if resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	if got := s.profiles(); len(got) != 1 || !bytes.Equal(got[0].Body, body) {
		t.Errorf("got %+v, want body %x", got, body)
	}
}

func TestPushRejectsBadRequests(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s))
	for contentType, bodies := range map[string][]string{
		"application/proto": {"\x0a\xff", string(marshal(t, pushOf(series([]string{"p"})))), string(marshal(t, pushOf(series([]string{"p"}, "service_name", "a", "x y", "1"))))},
		"application/json":  {"", "{", `{"series":[{"labels":[],"samples":[{"rawProfile":""}]}]}`},
	} {
		for _, body := range bodies {
			if resp, text := post(t, r.url+pushProcedure, contentType, strings.NewReader(body)); resp.StatusCode != 400 || !strings.Contains(text, "invalid_argument") {
				t.Errorf("%s %q: %s %s", contentType, body, resp.Status, text)
			}
		}
	}
	if resp, _ := post(t, r.url+pushProcedure, "text/plain", strings.NewReader("")); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("text/plain: %s", resp.Status)
	}
	if got := s.profiles(); len(got) != 0 {
		t.Errorf("forwarded: %v", got)
	}
	if got := value(t, r.reg, "pyroscope_receive_http_dropped_profiles_total", "bad_request"); got != 6 {
		t.Errorf("%v requests counted as bad", got)
	}
	// A request without profiles has nothing to queue.
	if resp, text := post(t, r.url+pushProcedure, "application/json", strings.NewReader("{}")); resp.StatusCode != 200 {
		t.Errorf("{}: %s %s", resp.Status, text)
	}
}

func TestAGzipBombIsRejected(t *testing.T) {
	s := &sink{}
	r := start(t, receiveConfig(s), small)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	io.Copy(w, io.LimitReader(zeros{}, 4<<20))
	w.Close()
	req, _ := http.NewRequest(http.MethodPost, r.url+pushProcedure, &bomb)
	req.Header.Set("Content-Type", "application/proto")
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("connect: %s", resp.Status)
	}
	client := pushv1connect.NewPusherServiceClient(h2c(), r.url, connect.WithGRPC(), connect.WithSendGzip())
	_, err = client.Push(t.Context(), connect.NewRequest(pushOf(series([]string{strings.Repeat("\x00", 4<<20)}, "service_name", "a"))))
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("gRPC: %v", err)
	}
	if got := value(t, r.reg, "pyroscope_receive_http_dropped_profiles_total", "too_large"); got != 2 {
		t.Errorf("%v requests counted as too large", got)
	}
	if len(s.profiles()) != 0 {
		t.Error("forwarded")
	}
}
