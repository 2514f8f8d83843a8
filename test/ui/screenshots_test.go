//go:build integration

package ui

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"

	"collector/test/harness"
)

// A picture of a page. Full ones go down to the end of the page, within reason.
type picture struct{ name, path, ready string }

// TestScreenshots takes a picture of each page of the demo, light and dark, wide
// and narrow, into the directory that SCREENSHOTS names.
func TestScreenshots(t *testing.T) {
	dir := screenshots(t)
	url := startDemo(t, "--requests=8")
	harness.Wait(cmp.Or(gathering(t), time.Minute)) // so that the charts have something to show
	shootAll(newBrowser(t, url), dir, demoPictures(aTrace(t, url)))
}

// TestScreenshotsOfContainers takes those of the pages that show containers.
func TestScreenshotsOfContainers(t *testing.T) {
	dir := screenshots(t)
	s := startStack(t)
	b := newBrowser(t, s.URL)
	shootAll(b, dir, stackPictures(b))
	s.Stop(t)
}

// screenshots is the directory for the pictures.
func screenshots(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("set SCREENSHOTS to a directory for the pictures")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(harness.Root(), dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func shootAll(b *browser, dir string, pictures []picture) {
	for _, p := range pictures {
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			for name, width := range map[string]int64{"wide": 1440, "phone": 390} {
				b.size(width, 900)
				b.open(p.path)
				if p.ready != "" {
					b.until(p.ready)
				}
				harness.Wait(500 * time.Millisecond) // for what is drawn by scripts
				shoot(b, width, filepath.Join(dir, p.name+"-"+scheme+"-"+name+".png"))
			}
		}
	}
}

// stackPictures are those that need containers.
func stackPictures(b *browser) []picture {
	first := func(path, selector string) string {
		b.open(path)
		b.until(fmt.Sprintf("document.querySelector(%q)", selector))
		return eval[string](b, fmt.Sprintf("document.querySelector(%q).getAttribute('href')", selector))
	}
	return []picture{
		{"containers", "/", "document.querySelector('#containers tbody')"},
		{"container-targets", "/targets", "document.querySelector('tbody tr')"},
		{"target", first("/targets", "tbody th a"), ""},
		{"log-tails", "/targets/logs", "document.querySelector('tbody tr')"},
		{"container-relabel", "/relabel", "document.querySelector('tbody tr')"},
		{"relabel-kept", first("/relabel?component=discovery.relabel.scrape&q=shop-api-1", "tbody th a"), ""},
		{"relabel-dropped", first("/relabel?component=discovery.relabel.scrape&q=worker", "tbody th a"), ""},
		{"container-graph", "/graph", "document.querySelector('a.node')"},
	}
}

func demoPictures(trace string) []picture {
	return []picture{
		{"overview", "/", ""},
		{"graph", "/graph", "document.querySelector('a.node')"},
		{"components", "/components", ""},
		{"component", "/component/prometheus.scrape.demo", ""},
		{"targets", "/targets", ""},
		{"relabel", "/relabel", ""},
		{"live", "/live?from=demo.service.backend&to=explore.sink.default", "document.querySelectorAll('#live-rows tr').length > 8"},
		{"explore", "/explore", ""},
		{"metrics", "/explore/metrics?name=go_memstats_heap_alloc_bytes", "document.querySelector('#chart canvas')"},
		{"rates", "/explore/metrics?name=http_requests_total", "document.querySelector('#chart canvas')"},
		{"logs", "/explore/logs", ""},
		{"traces", "/explore/traces", ""},
		{"trace", "/explore/traces/" + trace, ""},
		{"profiles", "/explore/profiles", "document.querySelectorAll('.frame').length > 3"},
		{"configuration", "/configuration", ""},
	}
}

// shoot takes the page from its top, at most 1,400 pixels of it.
func shoot(b *browser, width int64, path string) {
	height := min(max(eval[float64](b, "document.documentElement.scrollHeight"), 500), 1400)
	beyond := true
	shot := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &beyond, Clip: &page.Viewport{Width: float64(width), Height: height, Scale: 1},
	})
	full, err := png.Decode(bytes.NewReader(shot.Data))
	if err != nil {
		b.t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, quantised(full)); err != nil {
		b.t.Fatal(err)
	}
	if out.Len() > 200<<10 {
		b.t.Errorf("%s has %d KiB", path, out.Len()>>10)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// quantised is a picture with its 256 most frequent colors; others become the nearest of
// them. Pages have few colors except those of smoothed letters.
func quantised(full image.Image) *image.Paletted {
	counts := map[color.RGBA]int{}
	bounds := full.Bounds()
	rgba := image.NewRGBA(bounds)
	draw.Draw(rgba, bounds, full, bounds.Min, draw.Src)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[rgba.RGBAAt(x, y)]++
		}
	}
	palette := mostFrequent(counts, 256)
	nearest := map[color.RGBA]uint8{}
	out := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := rgba.RGBAAt(x, y)
			index, ok := nearest[c]
			if !ok {
				index = uint8(palette.Index(c))
				nearest[c] = index
			}
			out.SetColorIndex(x, y, index)
		}
	}
	return out
}

func mostFrequent(counts map[color.RGBA]int, n int) color.Palette {
	order := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int { return counts[b] - counts[a] })
	var palette color.Palette
	for _, c := range order[:min(n, len(order))] {
		palette = append(palette, c)
	}
	return palette
}

// gathering is how long the demo runs before the first picture; SCREENSHOTS_AFTER sets
// it.
func gathering(t *testing.T) time.Duration {
	text := os.Getenv("SCREENSHOTS_AFTER")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
