package httpclient

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func fetchPage(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func TestATrailShowsHowFarARequestGot(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	url := server.URL
	var trails Trails
	for range 2 { // by a new connection, and by the one used before
		ctx, trail := trails.Begin(t.Context())
		err := fetchPage(ctx, server.Client(), url)
		if connected := trails.End(trail); err != nil || !connected {
			t.Errorf("%v, connected: %t", err, connected)
		}
	}
	client := server.Client()
	server.Close()
	ctx, trail := trails.Begin(t.Context())
	err := fetchPage(ctx, client, url)
	if connected := trails.End(trail); err == nil || connected {
		t.Errorf("nobody listens: %v, connected: %t", err, connected)
	}
}

// BenchmarkTrails is what it costs a request to report whether there was a connection:
// the ratio of the medians of requests that do and do not, which take turns.
func BenchmarkTrails(b *testing.B) {
	for name, size := range map[string]int{"page=20KiB": 20 << 10, "empty": 0} {
		b.Run(name, func(b *testing.B) {
			page := strings.Repeat("x", size)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) }))
			b.Cleanup(server.Close)
			client := server.Client()
			var trails Trails
			var took [2][]time.Duration
			for b.Loop() {
				for traced := range 2 {
					start := time.Now()
					ctx, trail := b.Context(), (*Trail)(nil)
					if traced == 1 {
						ctx, trail = trails.Begin(ctx)
					}
					if err := fetchPage(ctx, client, server.URL); err != nil {
						b.Fatal(err)
					}
					if traced == 1 {
						trails.End(trail)
					}
					took[traced] = append(took[traced], time.Since(start))
				}
			}
			median := func(all []time.Duration) float64 {
				slices.Sort(all)
				return float64(all[len(all)/2])
			}
			b.ReportMetric(median(took[1])/median(took[0]), "ratio")
		})
	}
}

// BenchmarkTrailsAlone is its part of that.
func BenchmarkTrailsAlone(b *testing.B) {
	b.ReportAllocs()
	var trails Trails
	for b.Loop() {
		_, trail := trails.Begin(b.Context())
		trails.End(trail)
	}
}
