//go:build integration

package ui

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// shownTime is a time on a page: its text may be a time of day, or relative to now.
type shownTime struct {
	At, Title, Text string
	Clock, Exact    bool
}

// times are all times in the content of the page that is open, which has some.
func (b *browser) times() []shownTime {
	b.t.Helper()
	const all = "[...document.querySelectorAll('main time')]"
	b.until(all + ".length > 0")
	return eval[[]shownTime](b, all+".map((t) => ({At: t.dateTime, Title: t.title, Text: t.innerText, Clock: 'clock' in t.dataset, Exact: 'exact' in t.dataset}))")
}

// shownIn fails the test unless every time of the page that is open is shown in one time
// zone: on hover, with its name, and in texts that are times of day.
func (b *browser) shownIn(zone *time.Location) {
	b.t.Helper()
	b.until("document.getElementById('zone').innerText === 'Time: " + zone.String() + "'")
	for _, shown := range b.times() {
		at, err := time.Parse(time.RFC3339Nano, shown.At)
		want := at.In(zone).Format("2006-01-02 15:04:05.000")
		if err != nil || shown.Title != want+" "+zone.String() || shown.Clock && shown.Text != want[len("2006-01-02 "):] || shown.Exact && shown.Text != shown.Title {
			b.t.Errorf("%s: %+v, want %s in %s", eval[string](b, "location.pathname"), shown, want, zone)
		}
	}
}

// All pages show times in the browser's time zone, which they name, or in UTC.
func TestOneTimeZoneEverywhere(t *testing.T) {
	b := newBrowser(t, startDemo(t))
	tokyo := time.FixedZone("Asia/Tokyo", 9*3600)
	call(b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: tokyo.String()})
	toggle := func() { b.do(chromedp.Click(chromedp.CSS("#zone"))) }
	b.open("/explore/logs")
	const link = `document.querySelector('tbody a[href*="/explore/traces/"]')`
	b.until(link)
	trace := eval[string](b, link+".getAttribute('href')")
	b.open("/targets")
	target := eval[string](b, `document.querySelector('tbody a[href^="/targets/"]').getAttribute('href')`)
	pages := []string{"/", "/targets", target, "/components", "/configuration", "/explore", "/explore/logs", "/explore/traces", trace, "/explore/profiles", "/live?signal=logs"}
	for _, path := range pages {
		b.open(path)
		b.shownIn(tokyo)
		toggle() // what is on the page changes at once
		b.shownIn(time.UTC)
		toggle()
		b.shownIn(tokyo)
	}
	// A refresh keeps it.
	b.open("/explore/logs")
	before := eval[string](b, "document.querySelector('main time[data-clock]').dateTime")
	b.until("document.querySelector('main time[data-clock]').dateTime !== '" + before + "'")
	b.shownIn(tokyo)
	// So do other pages, and what flows into the live view.
	toggle()
	for _, path := range pages {
		b.open(path)
		b.shownIn(time.UTC)
	}
	before = eval[string](b, "[...document.querySelectorAll('main time')].map((t) => t.dateTime).sort().at(-1)")
	b.until("[...document.querySelectorAll('main time')].some((t) => t.dateTime > '" + before + "')")
	b.shownIn(time.UTC)
	b.open("/explore/logs")
	toggle()
	b.shownIn(tokyo)
}
