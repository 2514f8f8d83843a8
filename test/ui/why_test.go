//go:build integration

package ui

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"collector/test/harness"
)

// questions are those that docs/ui.md says how to get answered.
var questions = []struct {
	text  string                             // as the document has it
	click func(*testing.T, *stack, *browser) // from the Overview to the answer
	// title is what `collector why NAME` calls it, and answer a part of what it says then.
	title, name, answer string
}{
	{"Is it flowing?", answersWhetherItFlows, "Is it flowing?", "shop-api-1", "Metrics: yes, 1 of 1 target up."},
	{"How far behind is it?", answersHowFarBehind, "How far behind is it?", "loki.write.refusing", " lines waiting ("},
	{"Where does it stop?", answersWhereItStops, "Where does it stop?", "loki.write.refusing", "At loki.write.refusing, which cannot deliver to http://127.0.0.1:"},
	{"Why is it not scraped?", answersWhyNotScraped, "Is it collected, and if not, why?", "shop-worker-1", "It is not scraped: in discovery.relabel.scrape, rule 1 drops it: "},
	{"Which labels does it have, and from which rule?", answersWhichLabels, "Which labels does it have, and from which rule?", "shop-api-1", "discovery.relabel.scrape, rule 3"},
	{"Why is data dropped?", answersWhyDropped, "Is data dropped, and why?", "prometheus.remote_write.rejecting", " dropped since the start (reason: "},
	{"What changed?", answersWhatChanged, "What changed?", "shop-api-1", "by SIGHUP: 1 file, +1 −1 lines; rebuilt: prometheus.scrape.containers"},
}

// startTroubled starts containers of which one is well, one is not scraped, one is in a
// crash loop, one is scraped at a port where nobody listens, and one fails and is
// removed; their logs go to a destination that refuses, and their metrics to one that
// answers 400.
func startTroubled(t *testing.T) *stack {
	t.Helper()
	s := &stack{engine: harness.StartEngine(t), ids: map[string]string{}}
	compose := func(service string, more ...string) map[string]string {
		labels := map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": service}
		for _, name := range more {
			labels[name] = "true"
		}
		return labels
	}
	for name, c := range map[string]harness.Container{
		"shop-api-1":    {Args: []string{"-lines=40", "-stay", "-serve=:8080"}, Labels: compose("api", "metrics.scrape"), Ports: []string{"8080/tcp"}},
		"shop-worker-1": {Args: []string{"-lines=20", "-stay"}, Labels: compose("worker")},
		"shop-wrong-1":  {Args: []string{"-lines=5", "-stay"}, Labels: compose("wrong", "metrics.scrape"), Ports: []string{"8081/tcp"}},
	} {
		c.Name = name
		s.ids[name] = s.engine.Run(t, c)
	}
	reject := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "no such label", http.StatusBadRequest)
	}))
	t.Cleanup(reject.Close)
	text := fmt.Sprintf(stackConfig, s.engine.Host)
	text = strings.Replace(text, "[explore.sink.default.metrics]", "[explore.sink.default.metrics, prometheus.remote_write.rejecting.receiver]", 1)
	text = strings.Replace(text, "[explore.sink.default.logs]", "[explore.sink.default.logs, loki.write.refusing.receiver]", 1)
	text += fmt.Sprintf(`
prometheus.remote_write "rejecting" { endpoint { url = "%s/api/v1/write" } }

loki.write "refusing" { endpoint { url = "http://127.0.0.1:%d/loki/api/v1/push" } }
`, reject.URL, harness.FreePort(t))
	s.Collector = harness.NewCollector(t, text)
	s.Start(t, "--explore.memory=8MiB")
	harness.Eventually(t, waiting, func() error {
		var targets struct{ States map[string]int }
		if err := getJSON(s.URL+"/api/v1/targets", &targets); err != nil {
			return err
		}
		if targets.States["up"] != 1 || targets.States["down"] != 1 {
			return fmt.Errorf("targets: %v", targets.States)
		}
		return nil
	})
	s.ids["shop-loop-1"] = s.engine.Run(t, harness.Container{Name: "shop-loop-1", Args: []string{"-no-such-flag"}, Labels: compose("loop"), Restart: "always"})
	gone := s.engine.Run(t, harness.Container{Name: "shop-gone-1", Args: []string{"-no-such-flag"}, Labels: compose("gone")})
	s.engine.WaitExit(t, gone)
	if err := s.engine.Client.ContainerRemove(context.Background(), gone, container.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// Each question is answered within two clicks of the Overview, and by the command.
func TestQuestionsAreAnsweredInTwoClicks(t *testing.T) {
	documentsTheQuestions(t)
	s := startTroubled(t)
	b := newBrowser(t, s.URL)
	b.allowed = provoked
	for _, q := range questions {
		t.Run(q.text, func(t *testing.T) {
			b.t = t
			b.open("/")
			q.click(t, s, b)
			if b.clicks < 1 || b.clicks > 2 {
				t.Errorf("%d clicks", b.clicks)
			}
			p := s.Command(t, "why", q.name, "--addr", s.URL)
			if <-p.Done(); p.ExitCode() != 0 || !strings.Contains(answerTo(q.title, p.Output()), q.answer) {
				t.Errorf("exit code %d, want %q below %q:\n%s", p.ExitCode(), q.answer, q.title, p.Output())
			}
		})
	}
	for _, c := range []struct {
		name string
		run  func(*testing.T, *stack, *browser)
	}{
		{"AFailingTarget", answersWhyATargetFails},
		{"AChangeOfAContainer", answersWhatChangedForAContainer},
		{"CrashLoopsAndRemovedContainers", showsLoopsAndRemoved},
		{"LinksByService", filtersByService},
		{"FiltersThatMatchNothing", saysThatFiltersMatchNothing},
		{"ATraceThatHasLeft", showsThatATraceHasLeft},
		{"TheCommandSaysTheSame", saysTheSame},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			b.open("/")
			c.run(t, s, b)
		})
	}
	b.t = t
	s.Stop(t)
}

// documentsTheQuestions compares the questions with the table in docs/ui.md.
func documentsTheQuestions(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "ui.md"))
	if err != nil {
		t.Fatal(err)
	}
	const head = "| Question | On the Overview | One click further | `collector why NAME` |\n|---|---|---|---|\n"
	_, table, found := strings.Cut(string(text), head)
	if !found {
		t.Fatalf("docs/ui.md has no table with the head %s", head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var got, want []string
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 6 || strings.TrimSpace(cells[2]) == "" {
			t.Fatalf("a row without a way from the Overview: %q", row)
		}
		got = append(got, strings.TrimSpace(cells[1])+" – "+strings.TrimSpace(cells[4]))
	}
	for _, q := range questions {
		want = append(want, q.text+" – "+q.title)
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/ui.md has the questions\n%s\nand the test\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// answerTo is what `collector why` prints below the title of a question.
func answerTo(title, output string) string {
	_, text, _ := strings.Cut(output, "\n  "+title+"\n")
	var answer strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "    ") {
			break
		}
		answer.WriteString(line)
	}
	return answer.String()
}

// answers waits until a question of the first subject has an answer with a text.
func (b *browser) answers(question, want string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.querySelector('#%s-0')?.innerText.includes(%q)", question, want))
}

// whyOf clicks "why?" in the row of a destination.
func (b *browser) whyOf(component string) {
	b.t.Helper()
	link := fmt.Sprintf("[...document.querySelectorAll('#destinations tbody tr')].find((row) => row.cells[0].innerText.startsWith(%q))?.querySelector('a[href*=\"/why?\"]')", component)
	b.click(link)
	b.until("document.readyState === 'complete' && location.pathname === '/why'")
}

func answersWhetherItFlows(_ *testing.T, _ *stack, b *browser) {
	b.press("api", "/why?q=shop%2Fapi")
	b.answers("flowing", "Metrics: yes, 1 of 1 target up.")
	b.answers("flowing", "Logs: yes, 40 lines read.")
	b.answers("flowing", "loki.write.refusing (logs to ")
}

func answersHowFarBehind(_ *testing.T, _ *stack, b *browser) {
	b.until(`(() => {
		const column = [...document.querySelectorAll('#destinations thead th')].findIndex((th) => th.innerText === 'Oldest waiting');
		const row = [...document.querySelectorAll('#destinations tbody tr')].find((row) => row.cells[0].innerText.startsWith('loki.write.refusing'));
		return row?.querySelector('.badge.bad') && row.cells[column].innerText.endsWith(' ago');
	})()`)
	b.whyOf("loki.write.refusing")
	b.answers("behind", " lines waiting (")
	b.answers("stops", "At loki.write.refusing, which cannot deliver to http://127.0.0.1:")
}

func answersWhereItStops(_ *testing.T, _ *stack, b *browser) {
	notice := "[...document.querySelectorAll('.notice.bad')].find((n) => n.innerText.includes('The destination loki.write.refusing (logs to http://127.0.0.1:') && n.innerText.includes(' is failing. Nothing listens '))"
	b.click(notice + "?.querySelector('a')")
	b.until("location.pathname === '/component/loki.write.refusing' && document.readyState === 'complete' && document.querySelector('main').innerText.includes('Nothing listens ')")
}

func answersWhyNotScraped(_ *testing.T, _ *stack, b *browser) {
	row := "[...document.querySelectorAll('#containers tbody tr')].find((row) => row.cells[0].innerText === 'worker')"
	b.until(row + "?.innerText.includes('none – why?')")
	b.click(row + ".querySelector('a[href*=\"/relabel?\"]')")
	b.until("location.search === '?project=shop&service=worker' && document.readyState === 'complete'")
	link := "[...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes('dropped by rule'))?.querySelector('a')"
	b.click(link)
	b.until("document.querySelector('.notice.warn')?.innerText.includes('Rule 1 drops it')")
}

func answersWhyATargetFails(_ *testing.T, _ *stack, b *browser) {
	b.press("wrong", "/why?q=shop%2Fwrong")
	b.answers("scraped", "which is down: ")
	b.answers("stops", "At prometheus.scrape.containers, which cannot scrape")
}

func answersWhichLabels(t *testing.T, _ *stack, b *browser) {
	b.press("api", "/why?q=shop%2Fapi")
	b.until("document.querySelectorAll('#labels-0 tbody tr').length > 3")
	rows := eval[map[string]string](b, "Object.fromEntries([...document.querySelectorAll('#labels-0 tbody tr')].map((row) => [row.cells[0].innerText, row.cells[1].innerText + ' from ' + row.cells[2].innerText]))")
	for name, want := range map[string]string{
		"job": "api from discovery.relabel.scrape, rule 3", "project": "shop from discovery.relabel.containers, rule 2", "container": "shop-api-1 from discovery.relabel.containers, rule 1",
	} {
		if rows[name] != want {
			t.Errorf("%s: %q, want %q", name, rows[name], want)
		}
	}
	b.press("Rules of discovery.relabel.scrape", "/relabel/discovery.relabel.scrape/")
}

func answersWhyDropped(_ *testing.T, _ *stack, b *browser) {
	b.whyOf("prometheus.remote_write.rejecting")
	b.until("/samples dropped since the start \\(reason: \\w+\\)/.test(document.querySelector('#dropped-0').innerText)")
	b.until("document.querySelector('#dropped-0 strong')")
}

func answersWhatChanged(t *testing.T, s *stack, b *browser) {
	text, err := os.ReadFile(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	s.Configure(t, strings.Replace(string(text), `scrape_interval = "5s"`, `scrape_interval = "6s"`, 1))
	b.open("/")
	b.until("document.querySelector('main').innerText.includes('The configuration on disk differs from the running one.')")
	s.HUP()
	b.until("!document.querySelector('main').innerText.includes('differs from the running one')")
	b.follow(`nav a[href="/configuration"]`, "/configuration")
	row := "document.querySelector('#history tbody tr')"
	b.until(row + ".innerText.includes('SIGHUP') && " + row + ".innerText.includes('rebuilt: prometheus.scrape.containers')")
	b.click(row + ".querySelector('summary')")
	b.until(row + `.querySelector('.line.added').innerText.includes('scrape_interval = "6s"') && ` + row + `.querySelector('.line.removed').innerText.includes('"5s"')`)
}

func answersWhatChangedForAContainer(_ *testing.T, _ *stack, b *browser) {
	b.press("api", "/why?q=shop%2Fapi")
	b.answers("changed", "by SIGHUP: 1 file, +1 −1 lines; rebuilt: prometheus.scrape.containers")
}

func showsLoopsAndRemoved(_ *testing.T, _ *stack, b *browser) {
	b.until(`[...document.querySelectorAll('.notice.bad')].some((n) => /^.?\s*shop-loop-1 is in a crash loop: restarting, exit code 2, \d+ times in 5 min\./.test(n.innerText.trim()))`)
	b.until(`[...document.querySelectorAll('.notice.warn')].some((n) => /shop-gone-1 failed and no longer runs: exit code 2, .* ago, removed\./.test(n.innerText))`)
	b.until(`[...document.querySelectorAll('#containers tbody tr')].some((row) => row.cells[0].innerText === 'gone' && row.innerText.includes('ended: exit code 2'))`)
	// Failing ones are above healthy ones.
	b.until(`(() => {
		const names = [...document.querySelectorAll('#containers tbody tr')].map((row) => row.cells[0].innerText);
		return names.indexOf('loop') < names.indexOf('api') && names.indexOf('wrong') < names.indexOf('api') && names.indexOf('gone') < names.indexOf('worker');
	})()`)
	b.press("loop", "/why?q=shop%2Floop")
	b.answers("stops", "At the container: shop-loop-1 is in a crash loop")
}

func filtersByService(t *testing.T, _ *stack, b *browser) {
	row := "[...document.querySelectorAll('#containers tbody tr')].find((row) => row.cells[0].innerText === 'api')"
	b.click(row + "?.cells[3].querySelector('a')")
	b.until("location.pathname === '/targets/logs' && location.search === '?project=shop&service=api' && document.readyState === 'complete'")
	if got := b.headings(); len(got) != 1 || got[0] != "shop-api-1" {
		t.Errorf("%q", got)
	}
	b.press("service api of project shop ✕", "/targets/logs")
	b.until("document.querySelectorAll('tbody tr').length > 2")
}

func saysThatFiltersMatchNothing(_ *testing.T, _ *stack, b *browser) {
	for path, want := range map[string]string{
		"/targets?state=bogus":               "The filter state=bogus matches nothing that is known: use up, down or unknown.",
		"/targets?project=shop&service=nope": "No running container belongs to the service nope of project shop.",
		"/explore/logs?label=foo":            "The filter label=foo is ignored: write it as name=value.",
		"/relabel?label=foo":                 "The filter label is not known here and is ignored",
		"/live?signal=smoke":                 "The filter signal=smoke matches nothing that is known",
	} {
		b.open(path)
		b.until(fmt.Sprintf("document.querySelector('main').innerText.includes(%q)", want))
	}
}

func showsThatATraceHasLeft(_ *testing.T, _ *stack, b *browser) {
	b.open("/explore/traces/" + strings.Repeat("ab", 16))
	b.until("document.querySelector('h1').innerText === 'Trace no longer in the window'")
	b.press("The traces in the window", "/explore/traces")
}

// saysTheSame checks that the command says the same as the page.
func saysTheSame(t *testing.T, s *stack, b *browser) {
	p := s.Command(t, "why", "shop-worker-1", "--addr", s.URL)
	if <-p.Done(); p.ExitCode() != 0 {
		t.Fatalf("exit code %d: %s", p.ExitCode(), p.Output())
	}
	b.open("/why?q=shop-worker-1")
	b.until("document.querySelectorAll('dl.why dt').length === 7")
	const said = "It is not scraped: in discovery.relabel.scrape, rule 1 drops it: it keeps only those where the label metrics.scrape is “true”; here, the label metrics.scrape is not set"
	if !strings.Contains(p.Output(), said) || !strings.Contains(b.text(), said) {
		t.Errorf("the command says\n%s\nthe page\n%s", p.Output(), b.text())
	}
}

// One click from a signal's card answers questions about pushed data.
func TestWhyOfASignalFromItsCard(t *testing.T) {
	in := harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
otelcol.receiver.otlp "x" {
	http { endpoint = "127.0.0.1:%d" }
	output { traces = [otelcol.exporter.otlphttp.x.input] }
}
otelcol.exporter.otlphttp "x" { client { endpoint = %q } }
`, in, harness.Refusing(t)))
	c.Start(t)
	b := newBrowser(t, c.URL)
	b.open("/")
	link := `document.querySelector('.signals .card.traces a[href="/why?q=traces"]')`
	b.until(`!document.querySelector('.signals .card a[href="/why?q=logs"]')`) // there is no receiver
	b.until("document.querySelector('.signals .card.traces').innerText.includes('Nothing received yet.') && document.querySelector('#destinations tbody').innerText.includes('nothing sent yet')")
	for kind, body := range map[string]string{
		"application/json": `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"x"}]}]}]}`,
		"text/xml":         "<spans/>",
	} {
		resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/traces", in), kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	b.click(link)
	b.until("location.pathname === '/why' && document.readyState === 'complete'")
	b.answers("flowing", "Traces: otelcol.receiver.otlp.x has received 1 span, the last ")
	b.answers("behind", "otelcol.exporter.otlphttp.x: 1 span waiting (")
	b.answers("stops", "At otelcol.receiver.otlp.x, which refuses requests: the last one ")
	b.answers("stops", "At otelcol.exporter.otlphttp.x, which cannot deliver to http://127.0.0.1:")
	b.answers("dropped", "1 request refused since the start (reason: content_type); the clients got an error.")
	b.until(`[...document.querySelectorAll('h2')].some((h) => h.innerText.startsWith('receiver otelcol.receiver.otlp.x (HTTP on 127.0.0.1:'))`)
	c.Stop(t)
}
