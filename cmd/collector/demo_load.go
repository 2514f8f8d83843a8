//go:build !no_demo

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxRequests bounds the load of the demo, in requests a second.
const maxRequests = 1000

// demoLoad sends requests to everything that the example service serves, with
// the mistakes that clients make.
type demoLoad struct {
	url    string
	rate   float64 // requests a second
	client *http.Client
	under  chan struct{} // holds as many tokens as there are requests in progress
}

func newDemoLoad(url string, rate float64) *demoLoad {
	return &demoLoad{url: url, rate: rate, client: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}, under: make(chan struct{}, 64)}
}

// run sends until ctx ends. A request that finds too many in progress is omitted:
// a service that hangs must not fill this process.
func (l *demoLoad) run(ctx context.Context) {
	if l.rate <= 0 {
		return
	}
	defer l.client.CloseIdleConnections()
	tick := time.NewTicker(time.Duration(float64(time.Second) / max(l.rate, 0.001)))
	defer tick.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case l.under <- struct{}{}:
			sending.Go(func() {
				defer func() { <-l.under }()
				l.send(ctx, demoRequest(n))
			})
		default:
		}
	}
}

// send ignores the outcome: the service reports it by its telemetry.
func (l *demoLoad) send(ctx context.Context, r request) {
	req, err := http.NewRequestWithContext(ctx, r.method, l.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return
	}
	req.Header.Set("User-Agent", "collector-demo")
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if resp, err := l.client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

type request struct{ method, path, body string }

// demoRequest is the n-th request. The mix goes around, so that each kind comes
// within the first seconds.
func demoRequest(n int) request {
	item, recent := rand.IntN(3)+1, rand.IntN(n/8+3)+1
	mix := []request{
		{"GET", "/api/items", ""},
		{"GET", "/api/cpu", ""},
		{"POST", "/api/orders", fmt.Sprintf(`{"item_id":%d,"quantity":%d}`, item, rand.IntN(5)+1)},
		{"GET", fmt.Sprintf("/api/items/%d", item), ""},
		{"GET", "/api/server-error", ""},
		{"POST", "/api/items", fmt.Sprintf(`{"name":"Item %d","description":"Made by the demo.","price":%d.5}`, n, rand.IntN(90)+10)},
		{"GET", "/api/slow", ""},
		{"GET", "/api/random", ""},
		{"GET", fmt.Sprintf("/api/items?limit=%d", rand.IntN(20)+1), ""},
		{"GET", "/api/cpu", ""},
		{"GET", fmt.Sprintf("/api/orders/%d", recent), ""},
		{"PATCH", fmt.Sprintf("/api/items/%d", item), fmt.Sprintf(`{"price":%d}`, rand.IntN(90)+10)},
		{"GET", "/", ""},
		{"GET", "/api/items/999999", ""},
		{"POST", "/api/orders", `{"quantity":0}`},
		{"GET", "/api/cpu", ""},
		{"GET", "/api/exception", ""},
		{"GET", "/api/items", ""},
		{"PUT", fmt.Sprintf("/api/items/%d", item), `{"name":"Lamp","description":"Gives more light.","price":29.9}`},
		{"GET", "/api/random", ""},
		{"POST", "/api/items", `{"name":`},
		{"GET", "/api/cpu", ""},
		{"GET", "/api/bad-request", ""},
		{"DELETE", fmt.Sprintf("/api/items/%d", recent+3), ""},
		{"GET", "/api/very-slow", ""},
		{"GET", "/no/such/page", ""},
		{"GET", "/docs", ""},
		{"DELETE", fmt.Sprintf("/api/orders/%d", recent), ""},
	}
	return mix[n%len(mix)]
}
