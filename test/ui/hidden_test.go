//go:build integration

package ui

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"

	"collector/test/harness"
)

// A page in a hidden tab watches nothing, and resumes when it is visible again.
func TestAHiddenTabWatchesNothing(t *testing.T) {
	at, err := url.Parse(startDemo(t))
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) }}
	var streams atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/live/events") {
			streams.Add(1)
			defer streams.Add(-1)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { proxy.CloseClientConnections(); proxy.Close() })
	open := func(want int64) {
		t.Helper()
		harness.Eventually(t, waiting, func() error {
			if n := streams.Load(); n != want {
				return fmt.Errorf("%d streams are open, not %d", n, want)
			}
			return nil
		})
	}

	b := newBrowser(t, proxy.URL)
	b.open("/live?from=demo.service.backend&to=explore.sink.default")
	b.until("document.querySelectorAll('#live-rows tr').length > 3")
	open(1)
	call(b, target.CreateTarget, target.CreateTargetParams{URL: "about:blank"})
	b.until("document.hidden && document.getElementById('live-state').textContent.includes('hidden')")
	open(0)
	call(b, page.BringToFront, cdp.Empty{})
	b.until("!document.hidden && document.getElementById('live-state').textContent === 'watching'")
	open(1)

	// What is paused stays paused.
	eval[bool](b, "(document.getElementById('live-pause').click(), true)")
	open(0)
	call(b, target.CreateTarget, target.CreateTargetParams{URL: "about:blank"})
	b.until("document.hidden")
	call(b, page.BringToFront, cdp.Empty{})
	b.until("!document.hidden && document.getElementById('live-state').textContent === 'paused'")
	open(0)
}
