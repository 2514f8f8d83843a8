package scrape

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func newFetcher() *fetcher {
	return &fetcher{client: http.DefaultClient, encoding: "gzip", ceiling: 1 << 20}
}

// Without body_size_limit a page still has a limit, and the error says how to change it.
func TestGzipBomb(t *testing.T) {
	server := httptest.NewServer(compressed(gzipped(strings.Repeat("\n", 1<<24))))
	t.Cleanup(server.Close)
	_, err := newFetcher().fetch(t.Context(), &endpoint{url: server.URL}, 0, nil)
	if !errors.Is(err, errBodySizeLimit) || !strings.Contains(err.Error(), "1MiB") {
		t.Errorf("%v", err)
	}
}

// A page arrives whole, whatever size was expected and whatever buffers have
// been used before.
func TestFetchedPagesAreWhole(t *testing.T) {
	want := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", textType)
		_, _ = io.WriteString(w, want)
	}))
	t.Cleanup(server.Close)
	f := newFetcher()
	for _, n := range []int{0, 1, 4095, 4096, 5000, 100_000, 3, 1<<20 - 1} {
		for _, guess := range []int{0, n, 2 * n} {
			want = strings.Repeat("x", n)
			got, err := f.fetch(t.Context(), &endpoint{url: server.URL}, guess, nil)
			page, contentType := got.page, got.contentType
			if err != nil || string(page) != want || contentType != textType {
				t.Errorf("%d bytes, %d expected: %d bytes, %q, %v", n, guess, len(page), contentType, err)
			}
			if cap(page) == len(page) {
				t.Errorf("%d bytes: no room for a line end", n)
			}
			f.buffers.put(page)
		}
	}
}

func TestRedirects(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.Redirect(w, r, "/there", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "a 1\n")
	}))
	t.Cleanup(server.Close)
	for follow, want := range map[bool]string{true: "", false: "302"} {
		cfg := config(nil)
		cfg.HTTPClient.FollowRedirects = follow
		client, err := cfg.HTTPClient.New("test", "test")
		if err != nil {
			t.Fatal(err)
		}
		f := newFetcher()
		f.client = client
		got, err := f.fetch(t.Context(), &endpoint{url: server.URL}, 0, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("follow_redirects = %v: %v", follow, err)
		}
		if from := got.from; follow && from != server.URL+"/there" || !follow && from != "" {
			t.Errorf("follow_redirects = %v: the page is from %q", follow, from)
		}
	}
}

// Buffers are reused for pages of the same size.
func TestBuffersAreReused(t *testing.T) {
	var b buffers
	for _, size := range []int{1, 4096, 4097, 100_000, 1_500_000, 5_000_000} {
		reused := false
		// A pool may drop what it is given, but not always.
		for range 100 {
			first := b.get(size)
			if cap(first) < size || len(first) != 0 {
				t.Fatalf("%d: cap %d, len %d", size, cap(first), len(first))
			}
			p := &first[:1][0]
			b.put(first)
			second := b.get(size)
			reused = reused || &second[:1][0] == p
		}
		if !reused {
			t.Errorf("a buffer for %d bytes is never reused", size)
		}
	}
}
