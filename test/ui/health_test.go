//go:build integration

package ui

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// pushLines pushes a line every 200 ms until the test ends.
func pushLines(t *testing.T, port int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			body := fmt.Sprintf(`{"streams":[{"stream":{"a":"b"},"values":[["%d","line %d"]]}]}`, time.Now().UnixNano(), n)
			if resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/loki/api/v1/push", port), "application/json", strings.NewReader(body)); err == nil {
				resp.Body.Close()
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// Destinations that refuse, hang, and answer 400, 401 and 429 make their writers
// unhealthy on every page, in the same words.
func TestDeadDestinationsAreRedOnEveryPage(t *testing.T) {
	in := harness.FreePort(t)
	ways := []struct{ name, url, says string }{
		{"refuses", harness.Refusing(t), `/^down (\d+ s|\d+ min), [\d,]+ waiting$/`},
		{"hangs", harness.Hanging(t), `/^down (\d+ s|\d+ min), [\d,]+ waiting$/`},
		{"s400", harness.Answering(t, 400, "no"), `/^rejects all data for (\d+ s|\d+ min), [\d,]+ dropped$/`},
		{"s401", harness.Answering(t, 401, "no"), `/^down (\d+ s|\d+ min), [\d,]+ waiting$/`},
		{"s429", harness.Answering(t, 429, "no"), `/^down (\d+ s|\d+ min), [\d,]+ waiting$/`},
	}
	good := harness.Answering(t, 204, "")
	text := "loki.source.api \"in\" {\n\thttp {\n\t\tlisten_address = \"127.0.0.1\"\n\t\tlisten_port    = " + fmt.Sprint(in) + "\n\t}\n\tforward_to = [loki.write.half.receiver"
	for _, way := range ways {
		text += ", loki.write." + way.name + ".receiver"
	}
	text += "]\n}\n"
	for _, way := range ways {
		text += fmt.Sprintf("loki.write %q { endpoint { url = \"%s/push\" } }\n", way.name, way.url)
	}
	text += fmt.Sprintf("loki.write \"half\" {\n\tendpoint { url = \"%s/push\" }\n\tendpoint { url = \"%s/push\" }\n}\n", good, ways[0].url)
	c := harness.NewCollector(t, text)
	c.Start(t)
	pushLines(t, in)
	b := newBrowser(t, c.URL)

	b.open("/components?sort=health")
	for _, way := range ways {
		row := fmt.Sprintf(`[...document.querySelectorAll('tbody tr')].find((r) => r.innerText.includes('loki.write.%s'))`, way.name)
		b.until(fmt.Sprintf("%[1]s.querySelector('.badge.bad').innerText.includes('unhealthy') && %[2]s.test(%[1]s.cells[3].innerText.trim())", row, way.says))
	}
	b.until(`[...document.querySelectorAll('tbody tr')].find((r) => r.innerText.includes('loki.write.half')).querySelector('.badge.warn').innerText.includes('degraded')`)

	b.open("/graph")
	for _, way := range ways {
		node := fmt.Sprintf(`document.querySelector('.graph a.node.bad[aria-label^="loki.write.%s, unhealthy"]')`, way.name)
		b.until(fmt.Sprintf("%s.test(%s.querySelector('.trouble').textContent)", way.says, node))
	}
	b.until(`document.querySelector('.graph a.node.warn[aria-label^="loki.write.half, degraded"] .trouble').textContent.includes('down')`)
	if eval[bool](b, `Boolean(document.querySelector('.graph a.node.good .trouble'))`) {
		t.Error("a healthy node is in trouble")
	}

	b.open("/component/loki.write.refuses")
	b.until(`document.querySelector('.facts .badge.bad').innerText.includes('unhealthy')`)
	b.until(`document.querySelector('#history tbody tr').innerText.includes('down') && document.querySelectorAll('#history tbody tr')[1].innerText.includes('healthy')`)

	b.open("/")
	b.until(`/unhealthy\s*✕ 5/.test(document.querySelector('#state').innerText) && /degraded\s*▲ 1/.test(document.querySelector('#state').innerText)`)
	b.until(`[...document.querySelectorAll('#destinations .badge.bad')].some((badge) => badge.innerText.includes('rejects all data'))`)
	c.Stop(t)
}

// A target that is down, and a missing socket, are shown with the components.
func TestTargetsAndDockerColorTheGraph(t *testing.T) {
	service := metricsService(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		prometheus.scrape "service" {
			targets         = [{ __address__ = %[1]q }, { __address__ = %[2]q }]
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [explore.sink.x.metrics]
		}
		discovery.docker "x" { host = "unix:///nowhere.sock" }
		loki.source.docker "x" {
			host       = "unix:///nowhere.sock"
			targets    = discovery.docker.x.targets
			forward_to = [explore.sink.x.logs]
		}
		discovery.http "x" { url = "http://%[2]s/targets" }
		explore.sink "x" { }
	`, service, strings.TrimPrefix(harness.Refusing(t), "http://")))
	c.Start(t)
	b := newBrowser(t, c.URL)
	b.open("/graph")
	b.until(`document.querySelector('.graph a.node.warn[aria-label^="prometheus.scrape.service, degraded"] .trouble').textContent === '1 of 2 targets down'`)
	for _, id := range []string{"discovery.docker.x", "loki.source.docker.x"} {
		b.until(fmt.Sprintf(`document.querySelector('.graph a.node.bad[aria-label^="%s, unhealthy"] .trouble').textContent.startsWith('Docker unreachable for ')`, id))
	}
	for _, path := range []string{"/", "/components"} {
		b.open(path)
		b.until("document.querySelector('main').innerText.includes('fetch the targets: nothing listens at ')")
		if text := b.text(); inGo(text) {
			t.Errorf("%s has an error of the library:\n%s", path, text)
		}
	}
}

// A queue shows how full it is and when it will be; a full one is a notice, a count
// and a full gauge.
func TestAQueueThatFillsUp(t *testing.T) {
	in := harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { traces = [otelcol.exporter.otlphttp.x.input] }
		}
		otelcol.exporter.otlphttp "x" {
			client { endpoint = %q }
			sending_queue {
				sizer      = "bytes"
				queue_size = 200000
			}
		}
	`, in, harness.Refusing(t)))
	c.Start(t)
	push := func(spans, size int) (full bool) {
		t.Helper()
		span := fmt.Sprintf(`{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":%q,"kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2"}`, strings.Repeat("x", size))
		request := `{"resourceSpans":[{"scopeSpans":[{"spans":[` + span + strings.Repeat(","+span, spans-1) + `]}]}]}`
		resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/traces", in), "application/json", strings.NewReader(request))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode != 200
	}
	b := newBrowser(t, c.URL)
	b.open("/")
	harness.Eventually(t, 3*waiting, func() error { // it needs some readings of a growing queue
		if push(1, 10) {
			t.Fatal("the queue is full already")
		}
		if !eval[bool](b, `/of 200 kB, full in \d+ (s|min|h)/.test(document.querySelector('#destinations').innerText)`) {
			return fmt.Errorf("it is not said when the queue is full:\n%s", b.text())
		}
		return nil
	})
	if value := eval[float64](b, "document.querySelector('#destinations meter').value"); value <= 0 || value >= 1 {
		t.Errorf("the gauge shows %v", value)
	}
	for !push(20, 200) {
	}
	b.until(`document.querySelector('.notice.bad') && [...document.querySelectorAll('.notice.bad')].some((n) => /Queue full \(200 kB\): [\d,]+ spans refused, senders retry\./.test(n.innerText))`)
	b.until(`document.querySelector('#destinations meter').value === 1 && /100% of 200 kB, [\d,]+ refused/.test(document.querySelector('#destinations').innerText)`)
	b.until(`/refused\s*✕ [\d,]+/.test(document.querySelector('.card.traces').innerText)`)
	b.open("/component/otelcol.exporter.otlphttp.x")
	b.until(`document.querySelector('.facts').innerText.includes('queue full (200 kB): ')`)
	if !strings.Contains(b.text(), "collector_refused_items_total") {
		t.Errorf("the page of the component does not count what was refused:\n%s", b.text())
	}
	c.Stop(t)
}

// A disk with less free space than a queue on it may still take is reported before it is
// full, and no longer once there is enough.
func TestADiskThatWillBeFullBeforeTheQueue(t *testing.T) {
	in := harness.FreePort(t)
	disk := harness.SmallDisk(t, 64<<20)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { traces = [otelcol.exporter.otlphttp.x.input] }
		}
		otelcol.exporter.otlphttp "x" {
			client { endpoint = %q }
			sending_queue {
				sizer      = "bytes"
				queue_size = 20000000
			}
		}
	`, in, harness.Refusing(t)))
	c.Storage = filepath.Join(disk, "storage")
	c.Start(t)
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/traces", in), "application/json", strings.NewReader(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"x"}]}]}]}`))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %+v", err, resp)
	}
	resp.Body.Close()
	const warning = `[...document.querySelectorAll('.notice.warn')].find((n) => n.innerText.includes('The disk has '))`
	b := newBrowser(t, c.URL)
	b.open("/")
	b.until("document.querySelector('#destinations').innerText.includes('of 20 MB')")
	if eval[bool](b, "Boolean("+warning+")") {
		t.Errorf("there is room for the queue:\n%s", b.text())
	}
	stranger := filepath.Join(disk, "stranger")
	if err := os.WriteFile(stranger, make([]byte, 50<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b.until(warning + `?.innerText.match(/The disk has 1\d(\.\d)? MiB free, less than a queue on it may still use: otelcol\.exporter\.otlphttp\.x \(traces, up to 20 MB\)\. Free some space,/)`)
	if err := os.Remove(stranger); err != nil {
		t.Fatal(err)
	}
	b.until("!" + warning)
	c.Stop(t)
}
