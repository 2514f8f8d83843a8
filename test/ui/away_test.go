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

	"collector/test/harness"
)

const (
	isAway  = `/^No answer since \d\d:\d\d:\d\d.*; this page is out of date\.$/.test(document.querySelector('#away[role=status] > .notice')?.innerText || '')`
	notAway = "!document.querySelector('#away > *')"
)

// provoked is what a browser reports for a missing or bad answer.
func provoked(trouble string) bool { return strings.Contains(trouble, "Failed to load resource") }

// A page whose collector has stopped says so, until it is back.
func TestAPageSaysThatTheCollectorIsAway(t *testing.T) {
	c := harness.NewCollector(t, twoComponents)
	c.Start(t)
	b := newBrowser(t, c.URL)
	b.allowed = provoked
	b.open("/")
	b.until("document.querySelectorAll('.signals .card').length === 4 && " + notAway)
	c.Kill()
	b.until(isAway)
	if size := eval[float64](b, "document.querySelector('#away > .notice').getBoundingClientRect().height"); size < 10 {
		t.Errorf("what it says is %v pixels high", size)
	}
	c.Start(t)
	b.until(notAway)
	c.Stop(t)
}

// An answer that is not a page, and a host that does not answer at all, are reported too.
func TestAPageReportsBadAnswers(t *testing.T) {
	c := harness.NewCollector(t, twoComponents)
	c.Start(t)
	at, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) }}
	var status atomic.Int64 // 0 to forward, -1 to hang
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := status.Load(); n {
		case 0:
			forward.ServeHTTP(w, r)
		case -1:
			<-r.Context().Done()
		default:
			http.Error(w, "not now", int(n))
		}
	}))
	t.Cleanup(func() { proxy.CloseClientConnections(); proxy.Close() })
	b := newBrowser(t, proxy.URL)
	b.allowed = provoked
	b.open("/")
	b.until("document.querySelectorAll('.signals .card').length === 4")
	for _, n := range []int64{http.StatusUnauthorized, http.StatusServiceUnavailable, -1} {
		status.Store(n)
		b.until(isAway)
		if n > 0 {
			b.until(fmt.Sprintf("document.getElementById('away').innerText.includes('status %d')", n))
		}
		status.Store(0)
		b.until(notAway)
	}
	c.Stop(t)
}

// A list does not change while a link in it has the focus, and refreshes again
// afterwards.
func TestAListDoesNotMoveUnderTheFocus(t *testing.T) {
	b := newBrowser(t, startDemo(t))
	b.open("/explore/logs")
	b.until(`document.querySelectorAll('tbody a[href*="/explore/traces/"]').length > 3`)
	const first = `document.querySelector('tbody a[href*="/explore/traces/"]')`
	href := eval[string](b, "("+first+".focus(), "+first+".getAttribute('href'))")
	const refreshes = "performance.getEntriesByType('resource').filter((e) => e.initiatorType === 'fetch').length"
	before := eval[int](b, refreshes)
	b.until(fmt.Sprintf("%s >= %d", refreshes, before+3))
	if now := eval[string](b, first+".getAttribute('href')"); now != href {
		t.Errorf("the link that has the focus leads to %s now, not to %s", now, href)
	}
	if !eval[bool](b, "document.activeElement === "+first) {
		t.Error("the focus is lost")
	}
	b.until(fmt.Sprintf("(document.activeElement.blur(), %s.getAttribute('href') !== %q)", first, href))
}
