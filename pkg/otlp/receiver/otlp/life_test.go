package otlp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

func TestReceiverBoundsWhatItHoldsInMemory(t *testing.T) {
	var to otlptest.Sink
	var c Config
	c.SetToDefault()
	c.HTTP, c.Output = new(HTTPServer), otlptest.All(&to)
	c.HTTP.SetToDefault()
	receiver, err := New(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := receiver.intake
	in.Budget = listen.NewBudget(9000)
	ask := func(body io.Reader) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/v1/traces", body)
		r.Header.Set("Content-Type", wire.TypeProtobuf)
		receiver.http.Handler().ServeHTTP(w, r)
		return w
	}
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 5000)
	if w := ask(bytes.NewReader(data)); w.Code != 200 {
		t.Errorf("a request of %d bytes that is alone is answered %d", len(data), w.Code)
	}
	// A half-arrived request holds the memory.
	slow, client := io.Pipe()
	answered := make(chan *httptest.ResponseRecorder)
	go func() { answered <- ask(slow) }()
	client.Write(data[:len(data)-1])
	client.Write(nil) // returns when the first part has been read
	if w := ask(bytes.NewReader(data)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a request above the bound is answered %d", w.Code)
	}
	client.Write(data[len(data)-1:])
	client.Close()
	if w := <-answered; w.Code != 200 {
		t.Errorf("the request that was there before is answered %d", w.Code)
	}
	if used := in.Budget.Used(); used != 0 || len(to.Got()) != 2 {
		t.Errorf("%d bytes are held, %d requests arrived", used, len(to.Got()))
	}
}

func TestReceiverIsReplacedWithoutALostRequest(t *testing.T) {
	overGRPC, overHTTP := listentest.FreeAddress(t), listentest.FreeAddress(t)
	pool := listen.NewPool()
	var to otlptest.Sink
	start := func() (stop func()) {
		t.Helper()
		var c Config
		c.SetToDefault()
		c.GRPC, c.HTTP, c.Output = new(GRPCServer), new(HTTPServer), otlptest.All(&to)
		c.GRPC.SetToDefault()
		c.HTTP.SetToDefault()
		c.GRPC.Endpoint, c.HTTP.Endpoint = overGRPC, overHTTP
		r, err := New(c, component.Options{ID: "otelcol.receiver.otlp.test", Listeners: pool.View()})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Bind(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	stop := start()
	var clients sync.WaitGroup
	var finished atomic.Bool
	var sent atomic.Int64
	progress := make(chan struct{}, 1)
	client := func(send func() error) {
		clients.Go(func() {
			for !finished.Load() {
				if err := send(); err != nil {
					t.Errorf("a request was lost: %v", err)
				}
				sent.Add(1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	for _, closes := range []bool{true, false} {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: closes}}
		defer c.CloseIdleConnections()
		client(func() error {
			answer, err := c.Post("http://"+overHTTP+"/v1/traces", wire.TypeProtobuf, io.NopCloser(strings.NewReader("")))
			if err == nil {
				answer.Body.Close()
			}
			return err
		})
	}
	conn := dial(t, overGRPC)
	for range 2 {
		client(func() error {
			return conn.Invoke(t.Context(), "/"+rawgrpc.Service(pipeline.SignalTraces)+"/Export", mem.BufferSlice{}, &rawgrpc.Message{}, grpc.ForceCodecV2(rawgrpc.Codec{}))
		})
	}
	for range 20 {
		next := start()
		stop()
		stop = next
		for before := sent.Load(); sent.Load() < before+20; {
			<-progress
		}
	}
	finished.Store(true)
	clients.Wait()
	if n := int(sent.Load()); n != len(to.Got()) {
		t.Errorf("%d requests were answered, %d arrived", n, len(to.Got()))
	}
	stop()
}

func TestReceiverEndsInTimeThoughASinkHangs(t *testing.T) {
	hang := hangingSink{entered: make(chan struct{})}
	var c Config
	c.SetToDefault()
	c.GRPC, c.Output = new(GRPCServer), otlptest.All(hang)
	c.GRPC.SetToDefault()
	c.GRPC.Endpoint = "127.0.0.1:0"
	r, err := New(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	address := r.group.Addr(overGRPC).String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	answered := make(chan error, 1)
	go func() { answered <- export(t, address, pipeline.SignalTraces, nil) }()
	<-hang.entered
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-answered; err == nil {
		t.Error("a request that was not queued was answered with success")
	}
}

// hangingSink accepts nothing until its caller gives up.
type hangingSink struct{ entered chan struct{} }

func (s hangingSink) WriteOTLP(ctx context.Context, _ pipeline.OTLP) error {
	close(s.entered)
	<-ctx.Done()
	return ctx.Err()
}
