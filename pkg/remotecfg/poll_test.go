package remotecfg

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/remotecfg/remotecfgtest"
)

func TestAnEmptyAnswerAtAStartLeavesWhatWasInForce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		b.start(config())()
		b.server.Serve("")
		stop := b.start(config())
		b.want("at a start", "one", true, 0)
		b.wait()
		b.want("later", "one", true, 0)
		if b.runner.loads != 1 {
			t.Errorf("%d loads", b.runner.loads)
		}
		b.server.Serve("two")
		b.wait()
		b.want("with an answer", "two", true, 0)
		stop()
	})
}

// Only a load, even an empty one, names the queues that are left without a writer.
func TestAStartWithNothingToLoadLoadsNothing(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"an empty answer":             func(b *bench) { b.server.Serve("") },
		"no answer":                   func(b *bench) { b.server.Fault(func(*http.Request) int { return 503 }) },
		"a wrong answer":              func(b *bench) { b.server.Serve("bad") },
		"an empty answer, and damage": func(b *bench) { b.server.Serve(""); b.damage() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				prepare(b)
				stop := b.start(config())
				if !b.runner.running() || !strings.Contains(b.log.String(), "waiting for the server to provide one") {
					t.Errorf("%s: loaded: %t, logged:\n%s", name, b.runner.running(), b.log.String())
				}
				loads := b.runner.loads
				b.server.Fault(nil)
				b.server.Serve("")
				b.wait()
				if b.runner.loads != loads {
					t.Errorf("%s: it is loaded again", name)
				}
				stop()
			})
		})
	}
}

// damage leaves a file on disk that is no configuration.
func (b *bench) damage() {
	b.t.Helper()
	path := filepath.Join(b.dir, "remotecfg", keptName)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("// half"), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func TestAChangedBlockWithNothingToLoadLeavesWhatRuns(t *testing.T) {
	for name, status := range map[string]int{"an empty answer": 0, "no answer": 503} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.server.Serve("one")
				b.start(config())()
				b.server.Serve("")
				b.server.Fault(func(*http.Request) int { return status })
				b.reload = true
				c := config()
				c.URL = "http://other"
				stop := b.start(c)
				if b.runner.now != "one" {
					t.Errorf("%s: in force is %q", name, b.runner.now)
				}
				stop()
			})
		})
	}
}

func TestAReloadWithoutTheServerLoadsAgainWhenItIsBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		defer b.start(config())()
		b.server.Fault(func(*http.Request) int { return 503 })
		b.Beside(b.runner.load, b.runner.running)
		b.wait()
		if b.runner.loads != 1 {
			t.Errorf("without the server: %d loads", b.runner.loads)
		}
		b.server.Fault(nil)
		b.wait()
		b.wait()
		if b.runner.loads != 2 {
			t.Errorf("with the server: %d loads", b.runner.loads)
		}
	})
}

func TestAPollThatFailsIsOneRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.server.Serve("one")
		defer b.start(config())()
		var requests atomic.Int64
		b.server.Fault(func(*http.Request) int { requests.Add(1); return 503 })
		b.wait()
		b.wait()
		if n := requests.Load(); n != 2 {
			t.Errorf("two polls are %d requests", n)
		}
	})
}

func TestWithoutARegistrationTheConfigurationIsFollowed(t *testing.T) {
	for name, status := range map[string]int{"hangs": remotecfgtest.Hang, "is refused": 403, "fails": 503} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.server.Serve("one")
				b.start(config())() // the server knows it
				b.server.Fault(func(r *http.Request) int {
					if strings.HasSuffix(r.URL.Path, "/RegisterCollector") {
						return status
					}
					return 0
				})
				b.server.Serve("two")
				stop := b.start(config())
				time.Sleep(answerTimeout)
				synctest.Wait()
				b.want(name, "two", true, 0)
				b.wait()
				if log := b.log.String(); strings.Count(log, "level=WARN") != 1 || strings.Contains(log, "level=ERROR") || !strings.Contains(log, "does not register the collector") {
					t.Errorf("%s: logged is\n%s", name, log)
				}
				b.server.Fault(nil)
				b.wait()
				if !strings.Contains(b.log.String(), "has registered the collector") {
					t.Errorf("%s: it is not registered later", name)
				}
				stop()
			})
		})
	}
}
