package program

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// mostGoroutines is how many the program itself may have: signals, the server and its
// connections, the graph and what observes it.
const mostGoroutines = 25

// ofTheProgram are the packages that have goroutines, or are called by such, without any
// component but logging.
func ofTheProgram() []string {
	return []string{
		"main", "collector/pkg/admin", "collector/pkg/backoff", "collector/pkg/clock", "collector/pkg/deliver",
		"collector/pkg/graph", "collector/pkg/listen", "collector/pkg/live", "collector/pkg/logging",
	}
}

// only is nil if the collector has no goroutines but those of the program itself.
func only(c *harness.Collector) error {
	resp, err := http.Get(c.URL + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("goroutines: %s, %v", resp.Status, err)
	}
	_, total, _ := strings.Cut(string(text), "total ")
	total, _, _ = strings.Cut(total, "\n")
	n, err := strconv.Atoi(total)
	if err != nil {
		return fmt.Errorf("the number of goroutines: %w", err)
	}
	var found []error
	if n > mostGoroutines {
		found = append(found, fmt.Errorf("%d goroutines, at most %d are expected:\n%s", n, mostGoroutines, text))
	}
	for _, line := range strings.Split(string(text), "\n") {
		frame := strings.Fields(line)
		if len(frame) < 3 || frame[0] != "#" {
			continue
		}
		folder, function := "", frame[2]
		if i := strings.LastIndex(function, "/"); i >= 0 {
			folder, function = function[:i+1], function[i+1:]
		}
		name, _, _ := strings.Cut(function, ".")
		name = folder + name
		module, _, _ := strings.Cut(name, "/")
		ours := module == "collector" || module == "main"
		if library := strings.Contains(module, "."); library || ours && !slices.Contains(ofTheProgram(), name) {
			found = append(found, fmt.Errorf("a goroutine of %s: %s", name, line))
		}
	}
	return errors.Join(found...)
}

func TestWhatIsNotConfiguredHasNoGoroutine(t *testing.T) {
	const nothing = `logging { level = "info" }`
	c := harness.NewCollector(t, nothing)
	c.Start(t, "--config.allow-empty")
	harness.Eventually(t, time.Minute, func() error { return only(c) })

	// A component has some, which end when it is removed.
	c.Configure(t, nothing+"\n"+`
loki.write "x" { endpoint { url = "http://127.0.0.1:1/" } }
otelcol.receiver.otlp "x" {
	grpc { endpoint = "127.0.0.1:0" }
	output { }
}`)
	if code, body := c.Reload(t); code != 200 {
		t.Fatal(code, body)
	}
	harness.Eventually(t, time.Minute, func() error {
		err := only(c)
		for _, want := range []string{"collector/pkg/queue", "google.golang.org/grpc"} {
			if err == nil || !strings.Contains(err.Error(), "a goroutine of "+want) {
				return fmt.Errorf("no goroutine of %s among: %w", want, errors.Join(err, errors.New("end")))
			}
		}
		return nil
	})
	c.Configure(t, nothing)
	if code, body := c.Reload(t); code != 200 {
		t.Fatal(code, body)
	}
	harness.Eventually(t, time.Minute, func() error { return only(c) })
	c.Stop(t)
}
