package remotecfg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	collectorv1 "github.com/grafana/alloy-remote-config/api/gen/proto/go/collector/v1"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/remotecfg/remotecfgtest"
)

// inProcess is a transport to a handler, for a bubble of synctest.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(request *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.handler.ServeHTTP(recorder, request)
	}()
	select {
	case <-done:
		return recorder.Result(), nil
	case <-request.Context().Done():
		<-done
		return nil, request.Context().Err()
	}
}

// runner is what loads configurations: all but those that begin with "bad".
type runner struct {
	mu     sync.Mutex
	now    string
	loads  int
	ready  bool // something has been loaded
	broken error
}

func (r *runner) load(_ context.Context, files []component.ModuleFile) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads++
	switch {
	case r.broken != nil:
		return r.broken
	case files == nil:
		r.now, r.ready = "", true
	case strings.HasPrefix(string(files[0].Text), "bad"):
		return fmt.Errorf("%s:1:1: there is no component bad", files[0].Name)
	default:
		r.now, r.ready = string(files[0].Text), true
	}
	return nil
}

func (r *runner) running() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

// bench is a block in a bubble, with its server and what it loads into.
type bench struct {
	t      *testing.T
	server *remotecfgtest.Server
	runner *runner
	m      *metrics
	dir    string
	reload bool            // start takes the place of a block that ran
	log    strings.Builder // of the last start
	*Remote
}

const every = time.Minute

func config() Config {
	var c Config
	c.SetToDefault()
	c.URL, c.ID, c.Name, c.Attributes = "http://server", "c1", "the first", map[string]string{"env": "test"}
	return c
}

// start starts a block as a start of the program does, and returns what stops it.
func (b *bench) start(c Config) (stop func()) {
	b.t.Helper()
	if !b.reload {
		b.runner = &runner{}
	}
	b.log.Reset()
	b.m = newMetrics(nil)
	b.Remote = newRemote(c, component.Options{ID: "remotecfg", Dir: filepath.Join(b.dir, "remotecfg"), UserAgent: "collector/test", Logger: slog.New(slog.NewTextHandler(&b.log, nil))}.WithDefaults(), "v1.2.3", b.m, &http.Client{Transport: inProcess{b.server}})
	b.Beside(b.runner.load, b.runner.running)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	synctest.Wait()
	return func() { cancel(); running.Wait() }
}

// wait lets the next poll pass.
func (b *bench) wait() {
	b.t.Helper()
	time.Sleep(every + every/50)
	synctest.Wait()
}

// want says what must be in force, whether the block is healthy, and what was counted.
func (b *bench) want(when, text string, healthy bool, failures int) {
	b.t.Helper()
	b.runner.mu.Lock()
	now := b.runner.now
	b.runner.mu.Unlock()
	if now != text {
		b.t.Errorf("%s: in force is %q, want %q", when, now, text)
	}
	if err := b.Health(); (err == nil) != healthy {
		b.t.Errorf("%s: health %v", when, err)
	}
	if got := testutil.ToFloat64(b.m.failures); got != float64(failures) {
		b.t.Errorf("%s: %v failures are counted, want %d", when, got, failures)
	}
	if got := testutil.ToFloat64(b.m.lastOK); (got == 1) != healthy {
		b.t.Errorf("%s: last_load_successful is %v", when, got)
	}
	status := b.Status().(Status)
	if (status.Error == "") != healthy || (status.InForce != nil) != (text != "") || text != "" && status.InForce.Hash != textOf([]byte(text)).hash {
		b.t.Errorf("%s: shown is %+v", when, status)
	}
	if text != "" && testutil.ToFloat64(b.m.hash.WithLabelValues(textOf([]byte(text)).hash)) != 1 {
		b.t.Errorf("%s: remotecfg_hash is of another", when)
	}
	if n := testutil.CollectAndCount(b.m.hash); n != 1 {
		b.t.Errorf("%s: remotecfg_hash has %d series", when, n)
	}
}

func inBubble(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, server: &remotecfgtest.Server{}, dir: dir}
		test(t, b)
		for _, problem := range b.server.Problems() {
			t.Errorf("the server could not take a request: %s", problem)
		}
	})
}

func TestAConfigurationIsFollowedAndItsStateReported(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		defer b.start(config())()
		b.want("at first", "one", true, 0)
		who := b.server.Registered("c1")
		if who == nil || who.Name != "the first" || who.LocalAttributes["env"] != "test" || who.LocalAttributes["collector.version"] != "v1.2.3" {
			t.Errorf("registered as %v", who)
		}
		polls := b.server.Polls()
		if len(polls) != 2 || polls[0].Hash != "" || polls[0].LocalAttributes["env"] != "test" || polls[0].RemoteConfigStatus.GetStatus() != collectorv1.RemoteConfigStatuses_RemoteConfigStatuses_UNSET {
			t.Fatalf("at first: %v", polls)
		}
		report := polls[1]
		if report.Hash != remotecfgtest.Hash("one") || report.RemoteConfigStatus.Status != collectorv1.RemoteConfigStatuses_RemoteConfigStatuses_APPLIED || string(report.EffectiveConfig.ConfigMap.ConfigMap[""].Body) != "one" {
			t.Errorf("reported is %v", report)
		}
		b.wait()
		b.want("unchanged", "one", true, 0)
		if polls := b.server.Polls(); len(polls) != 1 || polls[0].RemoteConfigStatus != nil || polls[0].EffectiveConfig != nil {
			t.Errorf("what is known is told again: %v", polls)
		}
		if testutil.ToFloat64(b.m.notModified) != 1 || b.runner.loads != 1 {
			t.Errorf("unchanged, it is loaded %d times", b.runner.loads)
		}
		b.server.Serve("two")
		b.wait()
		b.want("changed", "two", true, 0)
		if testutil.ToFloat64(b.m.notModified) != 0 || testutil.ToFloat64(b.m.attempts) != 3 || testutil.CollectAndCount(b.m.duration) != 1 {
			t.Errorf("%v attempts", testutil.ToFloat64(b.m.attempts))
		}
		if n := b.server.Unregistered(); n != 0 {
			t.Errorf("%d collectors have left", n)
		}
	})
}

func TestAWrongConfigurationLeavesTheLastGoodOne(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("good")
		stop := b.start(config())
		b.server.Polls()
		b.server.Serve("bad")
		b.wait()
		b.want("wrong", "good", false, 1)
		last := b.server.Polls()[1]
		if last.RemoteConfigStatus.GetStatus() != collectorv1.RemoteConfigStatuses_RemoteConfigStatuses_FAILED || !strings.Contains(last.RemoteConfigStatus.ErrorMessage, "<remotecfg>:1:1") || last.EffectiveConfig != nil {
			t.Errorf("reported is %v", last)
		}
		stop()
		stop = b.start(config()) // with the wrong one still there
		b.want("after a start", "good", false, 1)
		b.server.Serve("better")
		b.wait()
		b.want("fixed", "better", true, 1)
		b.server.Serve("bad")
		b.wait()
		b.server.Serve("better")
		b.wait()
		b.want("taken back", "better", true, 2)
		stop()
	})
}

func TestWhatCouldNotBeLoadedIsRetried(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		defer b.start(config())()
		b.runner.mu.Lock()
		b.runner.broken = errors.New("the port is in use")
		b.runner.mu.Unlock()
		b.server.Serve("one")
		b.wait()
		b.want("while the port is in use", "", false, 1)
		b.runner.mu.Lock()
		b.runner.broken = nil
		b.runner.mu.Unlock()
		b.wait() // the server says that nothing has changed
		b.want("once it is free", "one", true, 1)
	})
}

func TestAServerThatFailsLeavesEverythingRunning(t *testing.T) {
	for name, status := range map[string]int{"hangs": remotecfgtest.Hang, "fails": 500, "refuses": 401, "is not one": 200, "is away": 503} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				fault := func(*http.Request) int { return status }
				b.server.Serve("one")
				stop := b.start(config())
				b.server.Fault(fault)
				b.wait()
				time.Sleep(2 * answerTimeout)
				b.want("later", "one", false, 1)
				stop()

				stop = b.start(config())
				time.Sleep(2 * answerTimeout)
				synctest.Wait()
				b.want("at a start", "one", false, 1)
				if from := b.Status().(Status).InForce.From; from != "disk" {
					t.Errorf("it is from %s", from)
				}
				b.server.Fault(nil)
				b.server.Serve("two")
				b.wait()
				b.want("when the server is back", "two", true, 1)
				stop()

				b.dir = t.TempDir()
				b.server.Fault(fault)
				stop = b.start(config())
				time.Sleep(2 * answerTimeout)
				synctest.Wait()
				b.want("at a start with nothing on disk", "", false, 1)
				b.server.Fault(nil)
				b.wait()
				b.want("when the server is back", "two", true, 1)
				stop()
			})
		})
	}
}

func TestADamagedFileIsNotUsed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		b.start(config())()
		path := filepath.Join(b.dir, "remotecfg", keptName)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b.server.Fault(func(*http.Request) int { return 503 })
		for i := range good {
			damaged := slices.Clone(good)
			damaged[i] ^= 1
			for _, text := range [][]byte{damaged, good[:i]} {
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				if text, err := b.kept(); err == nil {
					t.Fatalf("damaged at %d, it gives %q", i, text)
				}
			}
		}
		stop := b.start(config())
		b.want("with a damaged file", "", false, 1)
		b.server.Fault(nil)
		b.wait()
		b.want("when the server is back", "one", true, 1)
		stop()
		if text, err := b.kept(); string(text) != "one" {
			t.Errorf("kept is %q, %v", text, err)
		}
	})
}

// A kill between putting a configuration in force and keeping it leaves the one
// before; a kill while it is written leaves a file beside it.
func TestAKillLeavesAConfigurationThatWasInForce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		b.start(config())()
		path := filepath.Join(b.dir, "remotecfg", keptName)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b.server.Serve("two")
		b.start(config())()
		if err := os.WriteFile(path, before, 0o600); err != nil { // as if it had not been written
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".new", []byte("// half a li"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.server.Fault(func(*http.Request) int { return 503 })
		stop := b.start(config())
		b.want("after the kill", "one", false, 1)
		b.server.Fault(nil)
		b.wait()
		b.want("with the server", "two", true, 1)
		stop()
	})
}

func TestAConfigurationForAnotherServerOrCollectorIsNotUsed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		b.start(config())()
		b.server.Fault(func(*http.Request) int { return 503 })
		for name, change := range map[string]func(*Config){
			"url": func(c *Config) { c.URL = "http://other" }, "id": func(c *Config) { c.ID = "c2" },
			"attributes": func(c *Config) { c.Attributes = map[string]string{"env": "other"} },
		} {
			c := config()
			change(&c)
			stop := b.start(c)
			b.want("with another "+name, "", false, 1)
			stop()
		}
		c := config()
		c.Client.BearerToken = "new"
		stop := b.start(c)
		b.want("with another token", "one", false, 1)
		stop()
	})
}

func TestNothingForACollectorChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		stop := b.start(config())
		b.want("at first", "", true, 0)
		b.server.Serve("one")
		b.wait()
		b.server.Serve("")
		b.wait()
		b.want("afterwards", "one", true, 0)
		stop()
	})
}

func TestAReloadLoadsWhatIsInForceAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		defer b.start(config())()
		b.Beside(b.runner.load, b.runner.running)
		synctest.Wait()
		if b.runner.loads != 2 || len(b.server.Polls()) != 3 {
			t.Errorf("%d loads", b.runner.loads)
		}
	})
}

func TestWithoutAnAddressNothingRunsBeside(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		c := config()
		c.URL = ""
		stop := b.start(c)
		if b.runner.loads != 1 || b.runner.now != "" || len(b.server.Polls()) != 0 {
			t.Errorf("%d loads", b.runner.loads)
		}
		stop()
	})
}

func TestAnInstallationKeepsItsID(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		c := config()
		c.ID = ""
		b.start(c)()
		first := b.Status().(Status).ID
		b.start(c)()
		if again := b.Status().(Status).ID; first == "" || again != first {
			t.Errorf("it is %q and then %q", first, again)
		}
		alloys := `{"UID":"2f9b1c7a-0000-4000-8000-000000000001","created_at":"2025-01-02T03:04:05Z","version":"v1.12.0"}`
		if err := os.WriteFile(filepath.Join(b.dir, seedName), []byte(alloys), 0o644); err != nil {
			t.Fatal(err)
		}
		b.start(c)()
		if id := b.Status().(Status).ID; id != "2f9b1c7a-0000-4000-8000-000000000001" {
			t.Errorf("after Alloy it is %q", id)
		}
	})
}

func TestAServerWithoutAListIsStillPolled(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		b.start(config())() // the server knows it
		b.server.Fault(func(r *http.Request) int {
			if strings.HasSuffix(r.URL.Path, "/RegisterCollector") {
				return http.StatusNotImplemented
			}
			return 0
		})
		b.server.Serve("two")
		stop := b.start(config())
		if b.runner.now != "two" {
			t.Errorf("in force is %q", b.runner.now)
		}
		stop()
	})
}

func TestACollectorThatTheServerHasForgottenRegistersAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		defer b.start(config())()
		b.server.Forget()
		b.wait()
		b.want("forgotten", "one", false, 1)
		b.server.Serve("two")
		b.wait()
		b.want("registered again", "two", true, 1)
	})
}

func TestAReasonIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		defer b.start(config())()
		b.runner.mu.Lock()
		b.runner.broken = errors.New(strings.Repeat("ü", 1<<20))
		b.runner.mu.Unlock()
		b.server.Serve("two")
		b.wait()
		polls := b.server.Polls()
		reported := polls[len(polls)-1].RemoteConfigStatus.GetErrorMessage()
		if n := len(b.Health().Error()); n > 2*maxReason || len(reported) == 0 || len(reported) > 2*maxReason {
			t.Errorf("it has %d bytes, %d are reported", n, len(reported))
		}
	})
}

func TestCredentialsAreSent(t *testing.T) {
	server := &remotecfgtest.Server{Secret: "Basic dXNlcjpwYXNz"}
	server.Serve("one")
	real := httptest.NewServer(server)
	defer real.Close()
	loaded := make(chan string, 1)
	c := config()
	c.URL = real.URL
	run := func() func() {
		r, err := New(c, component.Options{ID: "remotecfg", Dir: filepath.Join(t.TempDir(), "remotecfg")}, "v1", newMetrics(nil))
		if err != nil {
			t.Fatal(err)
		}
		r.Beside(func(_ context.Context, files []component.ModuleFile) error {
			loaded <- string(files[0].Text)
			return nil
		}, func() bool { return false })
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx) })
		return func() { cancel(); running.Wait() }
	}
	c.Client.BasicAuth = &httpclient.BasicAuth{Username: "user", Password: "pass"}
	stop := run()
	if text := <-loaded; text != "one" {
		t.Errorf("loaded is %q", text)
	}
	stop()
}

func TestWhatCannotBePolledIsRejected(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"poll_frequency": func(c *Config) { c.PollFrequency = 9 * time.Second },
		"url":            func(c *Config) { c.URL = "server/x" },
		"attributes":     func(c *Config) { c.Attributes = map[string]string{"collector.os": "x"} },
		"at most one":    func(c *Config) { c.Client.BearerToken, c.Client.BearerTokenFile = "a", "b" },
	} {
		c := config()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := config()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
