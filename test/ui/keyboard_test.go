//go:build integration

package ui

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keyboard is a user without a mouse: nothing here clicks.
type keyboard struct{ *browser }

func (k keyboard) press(keys string) {
	k.t.Helper()
	k.do(chromedp.KeyEvent(keys))
}

// focusShows checks that the focused element is outlined or, in the graph, that its box
// has a thicker border than any other.
const focusShows = `(() => {
	const border = (rect) => parseFloat(getComputedStyle(rect).strokeWidth);
	const own = document.activeElement.querySelector("rect");
	const others = [...document.querySelectorAll(".node rect")].filter((rect) => rect !== own);
	return getComputedStyle(document.activeElement).outlineStyle !== "none" || own !== null && border(own) > Math.max(...others.map(border));
})()`

// tabTo presses Tab until the element that a selector names has the focus, and checks
// that the focus is visible.
func (k keyboard) tabTo(selector string) {
	k.t.Helper()
	const most = 150
	for range most {
		k.press(kb.Tab)
		if eval[bool](k.browser, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			if !eval[bool](k.browser, focusShows) {
				k.t.Errorf("one does not see where the focus is at %s", selector)
			}
			return
		}
	}
	k.t.Fatalf("Tab does not come to %s:\n%s", selector, k.text())
}

// enter presses Enter on what a selector names, and waits for the page that it leads to.
func (k keyboard) enter(selector, path string) {
	k.t.Helper()
	k.tabTo(selector)
	k.press(kb.Enter)
	k.until(fmt.Sprintf("document.readyState === 'complete' && location.pathname === %q", path))
}

// Everything that leads to another page can be reached and used by the keyboard alone.
func TestTheKeyboardIsEnough(t *testing.T) {
	k := keyboard{newBrowser(t, startDemo(t))}
	for _, c := range []struct {
		name string
		run  func(*testing.T, keyboard)
	}{
		{"SkipLink", skipsTheNavigation},
		{"FindingAComponent", findsAComponentByKeys},
		{"FromTheGraphToALiveTap", tapsByKeys},
		{"FlameGraph", walksTheFlameGraph},
		{"ReloadButton", reloadsByKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			k.t = t
			k.open("/")
			c.run(t, k)
		})
	}
	k.t = t
}

func skipsTheNavigation(t *testing.T, k keyboard) {
	k.press(kb.Tab)
	if got := eval[string](k.browser, "document.activeElement.innerText"); got != "Skip to content" {
		t.Errorf("Tab goes to %q first", got)
	}
	k.press(kb.Enter)
	k.until("document.activeElement.id === 'main'")
}

func findsAComponentByKeys(t *testing.T, k keyboard) {
	k.enter(`nav a[href="/components"]`, "/components")
	k.tabTo("#q")
	k.press("scrape" + kb.Enter)
	k.until("location.search.includes('q=scrape') && document.readyState === 'complete'")
	if n := eval[int](k.browser, "document.querySelectorAll('tbody tr').length"); n != 1 {
		t.Errorf("%d components for \"scrape\"", n)
	}
	k.enter(`tbody a[href="/component/prometheus.scrape.demo"]`, "/component/prometheus.scrape.demo")
}

func tapsByKeys(_ *testing.T, k keyboard) {
	k.enter(`nav a[href="/graph"]`, "/graph")
	k.enter(`a.node[href="/component/demo.service.backend"]`, "/component/demo.service.backend")
	k.enter(`a.tap[href*="explore.sink.default"]`, "/live")
	k.until("document.querySelectorAll('#live-rows tr').length > 3")
	k.tabTo("#live-pause")
	k.press(" ")
	k.until("document.getElementById('live-state').textContent === 'paused'")
	k.press(" ")
	k.until("document.getElementById('live-state').textContent === 'watching'")
}

func walksTheFlameGraph(t *testing.T, k keyboard) {
	k.enter(`nav a[href="/explore"]`, "/explore")
	k.enter(`main a[href="/explore/profiles"]`, "/explore/profiles")
	k.until("document.querySelectorAll('.frame').length > 10")
	k.tabTo(".frame")
	for level := 2; level <= 3; level++ {
		k.press(kb.ArrowDown)
		k.until(fmt.Sprintf("document.activeElement.getAttribute('aria-level') === '%d'", level))
	}
	says := eval[string](k.browser, "document.activeElement.getAttribute('aria-label')")
	if got := eval[string](k.browser, "document.getElementById('flame-detail').textContent"); got != says {
		t.Errorf("of the frame that has the focus, %q, one reads %q", says, got)
	}
	k.press(kb.Enter)
	k.until(fmt.Sprintf("document.querySelectorAll('.frame.above').length === 2 && document.activeElement.getAttribute('aria-label') === %q", says))
	k.until("document.activeElement.getBoundingClientRect().width > document.getElementById('flame-graph').clientWidth * 0.95")
	k.press(kb.Escape)
	k.until("document.querySelectorAll('.frame.above').length === 0 && document.activeElement.getAttribute('aria-level') === '1'")
}

func reloadsByKeys(_ *testing.T, k keyboard) {
	k.enter(`nav a[href="/configuration"]`, "/configuration")
	k.tabTo("form.reload button")
	k.press(kb.Enter)
	k.until("location.search.includes('reloaded=ok') && document.querySelector('.notice.good')")
}
