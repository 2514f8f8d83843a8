//go:build integration

package ui

import (
	"math"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// times are the texts of the times of day on a page, each with its exact time on hover.
func (b *browser) times() [][2]string {
	b.t.Helper()
	const all = "[...document.querySelectorAll('main time[data-clock]')]"
	b.until(all + ".length > 2")
	return eval[[][2]string](b, all+".map((t) => [t.innerText, t.title])")
}

// zoned fails the test unless every time of a page is shown in one time zone.
func (b *browser) zoned(path, zone string, hours float64) {
	b.t.Helper()
	b.open(path)
	b.until("document.getElementById('zone').innerText === 'Time: " + zone + "'")
	for _, shown := range b.times() {
		if !strings.HasSuffix(shown[1], " "+shown[0]+" "+zone) {
			b.t.Errorf("%s: %q on hover of %q, which is not in %s", path, shown[1], shown[0], zone)
		}
	}
	from := eval[float64](b, `(() => {
		const t = document.querySelector('main time[data-clock]');
		return (Date.parse(t.title.slice(0, 10) + 'T' + t.innerText + 'Z') - Date.parse(t.dateTime)) / 3600e3;
	})()`)
	if math.Abs(from-hours) > 0.001 { // a clock shows no more than milliseconds
		b.t.Errorf("%s: %v h from UTC, not %v", path, from, hours)
	}
}

// All pages show times in the browser's time zone, which they name, or in UTC.
func TestOneTimeZoneEverywhere(t *testing.T) {
	b := newBrowser(t, startDemo(t))
	const zone = "Asia/Tokyo"
	call(b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
	pages := []string{"/explore/logs", "/explore/traces", "/live?signal=logs"}
	b.open("/explore/logs")
	b.until(`document.querySelectorAll('tbody a[href*="/explore/traces/"]').length > 3`)
	for _, path := range pages {
		b.zoned(path, zone, 9)
	}
	// A refresh keeps it.
	b.open("/explore/logs")
	before := eval[string](b, "document.querySelector('main time[data-clock]').dateTime")
	b.until("document.querySelector('main time[data-clock]').dateTime !== '" + before + "'")
	if shown := b.times()[0]; !strings.HasSuffix(shown[1], zone) || !strings.Contains(shown[1], shown[0]) {
		t.Errorf("after a refresh: %q", shown)
	}
	b.open("/")
	b.until("document.querySelector('#state time').title.endsWith('" + zone + "')")
	b.do(chromedp.Click(chromedp.CSS("#zone")))
	b.until("document.getElementById('zone').innerText === 'Time: UTC' && document.querySelector('#state time').title.endsWith(' UTC')")
	for _, path := range pages {
		b.zoned(path, "UTC", 0)
	}
	b.do(chromedp.Click(chromedp.CSS("#zone")))
	b.zoned("/explore/logs", zone, 9)
}
