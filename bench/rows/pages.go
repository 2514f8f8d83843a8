package rows

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"collector-bench/contender"
	"collector-bench/proc"
	"collector-bench/table"
)

// usesEngine reports whether a row has an Engine, and is about its cost, too.
func (r row) usesEngine() bool {
	return slices.Contains([]string{contender.Logs, contender.Idle, contender.Containers, contender.Engine}, r.kind)
}

// asks reports whether the program's pages are asked for: it sends nothing.
func (r row) asks() bool {
	return slices.Contains([]string{contender.Host, contender.Containers, contender.Engine}, r.kind)
}

// measurePages asks c for a page every 15 s, as Prometheus does.
func (m *meter) measurePages(ctx context.Context, r row, c contender.Contender, out *table.Measurement) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	job := contender.Job{Kind: r.kind, Dir: dir}
	if job.Listen, err = contender.FreeAddress(); err != nil {
		return err
	}
	if r.usesEngine() {
		job.Engine = m.engine.Host
		defer m.engine.Clear()
		if err := m.runSilent(ctx, dir); err != nil {
			return err
		}
	}
	p, err := c.Start(ctx, job)
	if err != nil {
		return err
	}
	defer p.Stop()
	out.Ready = p.Ready
	asked := &asking{meter: m, row: r, pid: p.Pid, url: c.Page(job)}
	if err := asked.run(ctx, out); err != nil {
		return fmt.Errorf("%w; log of %s:\n%s", err, c.Name, p.Log())
	}
	return p.Alive()
}

// runSilent starts containers that wait for a signal that never comes.
func (m *meter) runSilent(ctx context.Context, dir string) error {
	for n := range idle {
		if err := m.engine.Run(ctx, fmt.Sprintf("bench-%d", n), dir+":/signal:ro", "lines", "-signal=/signal/never", "-rate=1", "-count=1"); err != nil {
			return err
		}
	}
	return nil
}

// asking asks one program for its page.
type asking struct {
	*meter
	row row
	pid int
	url string
}

func (a *asking) run(ctx context.Context, out *table.Measurement) error {
	if err := sleep(ctx, settled); err != nil {
		return err
	}
	// The first page makes what the later ones find made.
	if _, err := a.page(ctx); err != nil {
		return err
	}
	before, err := a.moment()
	if err != nil {
		return err
	}
	var rss []float64
	for next := before.at.Add(pageEvery); time.Since(before.at) < a.row.duration; next = next.Add(pageEvery) {
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
		text, err := a.page(ctx)
		if err != nil {
			return err
		}
		out.Items++
		out.Wire += uint64(len(text))
		if out.Problem == "" {
			out.Problem = missing(a.row.kind, text)
		}
		resident, err := proc.Resident(a.pid)
		if err != nil {
			return err
		}
		rss = append(rss, float64(resident))
	}
	after, err := a.moment()
	if err != nil {
		return err
	}
	out.Elapsed, out.CPU, out.Engine = after.at.Sub(before.at), after.usage.CPU-before.usage.CPU, after.engine-before.engine
	out.RSS, out.PSS, out.Rest = int64(table.Median(rss)), after.usage.PSS, after.usage.RSS
	out.Peak = max(after.usage.Peak, int64(slices.Max(rss)))
	return nil
}

// moment reads what has been used so far.
func (a *asking) moment() (now moment, err error) {
	now.at = time.Now()
	if now.usage, err = proc.Read(a.pid); err != nil || !a.row.usesEngine() {
		return now, err
	}
	usage, err := proc.Read(a.engine.Pid)
	now.engine = usage.CPU
	return now, err
}

// page asks for the page, compressed on its way, as Prometheus does.
func (a *asking) page(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", a.url, response.Status)
	}
	return string(text), err
}

// missing says what a page lacks: the memory of the host, or the CPU time of each container.
func missing(kind, text string) string {
	if kind == contender.Host {
		if !strings.Contains(text, "\nnode_memory_MemTotal_bytes ") || !strings.Contains(text, "\nnode_cpu_seconds_total{") {
			return "the page lacks metrics of the host"
		}
		return ""
	}
	for n := range idle {
		if found := strings.Contains(text, `name="bench-`+strconv.Itoa(n)+`"`) && strings.Contains(text, "\ncontainer_cpu_usage_seconds_total{"); !found {
			return fmt.Sprintf("the page lacks container bench-%d", n)
		}
	}
	return ""
}
