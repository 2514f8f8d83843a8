package otlp_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"collector/pkg/component"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	receiver "collector/pkg/otlp/receiver/otlp"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/pipeline"
)

// asking is a receiver that asks for the name ann and the password pw, and the clients
// whose requests it has accepted.
func asking(t *testing.T) (receivertest.Receiver, func() []string) {
	t.Helper()
	c, err := auth.NewBasic(auth.BasicConfig{Username: "ann", Password: "pw"}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Exports()["handler"].(*auth.Handler)
	var mu sync.Mutex
	var users []string
	to := otlptest.SinkFunc(func(ctx context.Context, _ pipeline.OTLP) error {
		mu.Lock()
		defer mu.Unlock()
		users = append(users, flow.AuthOf(ctx)["username"])
		return nil
	})
	r := receivertest.Start(t, otlptest.All(to), func(c *receiver.Config) { c.GRPC.Auth, c.HTTP.Auth = h, h })
	return r, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return users
	}
}

const (
	right = "Basic YW5uOnB3"
	wrong = "Basic YW5uOm5v"
)

func TestUnauthenticatedHTTPClientsGet401(t *testing.T) {
	r, users := asking(t)
	for _, c := range []struct {
		method, path, contentType, authorization string
		want                                     int
	}{
		{http.MethodPost, "/v1/traces", "application/json", right, http.StatusOK},
		{http.MethodPost, "/v1/traces", "application/json", "", http.StatusUnauthorized},
		{http.MethodPost, "/v1/traces", "application/json", wrong, http.StatusUnauthorized},
		{http.MethodPost, "/v1/traces", "application/x-protobuf", wrong, http.StatusUnauthorized},
		{http.MethodPost, "/v1/traces", "text/plain", wrong, http.StatusUnauthorized},
		{http.MethodGet, "/elsewhere", "", "", http.StatusUnauthorized},
		{http.MethodGet, "/elsewhere", "", right, http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+r.HTTP+c.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", c.contentType)
		if c.authorization != "" {
			request.Header.Set("Authorization", c.authorization)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%+v: %s: %s", c, answer.Status, body)
		}
		if c.want == http.StatusUnauthorized && c.contentType == "application/json" {
			var said struct{ Code int }
			if err := json.Unmarshal(body, &said); err != nil || said.Code != int(codes.Unauthenticated) {
				t.Errorf("%+v: %s", c, body)
			}
		}
	}
	if got := users(); len(got) != 1 || got[0] != "ann" {
		t.Errorf("the requests of %q were taken", got)
	}
	if log := r.Log.String(); strings.Contains(log, "YW5u") || !strings.Contains(log, "reason=unauthenticated") {
		t.Errorf("the log has %s", log)
	}
}

func TestUnauthenticatedGRPCClientsGetUnauthenticated(t *testing.T) {
	r, users := asking(t)
	conn, err := grpc.NewClient("passthrough:///"+r.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for authorization, want := range map[string]codes.Code{right: codes.OK, wrong: codes.Unauthenticated, "": codes.Unauthenticated} {
		ctx := t.Context()
		if authorization != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", authorization)
		}
		_, err := ptraceotlp.NewGRPCClient(conn).Export(ctx, ptraceotlp.NewExportRequest())
		if status.Code(err) != want {
			t.Errorf("%q: %v, want %s", authorization, err, want)
		}
	}
	if got := users(); len(got) != 1 || got[0] != "ann" {
		t.Errorf("the requests of %q were taken", got)
	}
}
