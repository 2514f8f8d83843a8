package docker

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/docker/dockertest"
)

// refusals are the ways in which a proxy does not allow a request.
func refusals() []int {
	return []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, dockertest.Hang}
}

// eachRefusal runs a test in a bubble for every way in which a request is
// refused.
func eachRefusal(t *testing.T, path string, test func(t *testing.T, d *dockertest.Daemon, e *Engine, log *logBuffer)) {
	eachFailure(t, path, refusals(), test)
}

func eachFailure(t *testing.T, path string, ways []int, test func(t *testing.T, d *dockertest.Daemon, e *Engine, log *logBuffer)) {
	for _, status := range ways {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &logBuffer{}
				d := dockertest.NewPipe(t)
				d.Refuse(path, status)
				test(t, d, open(t, d, log), log)
			})
		})
	}
}

// wantWorking fails the test unless the containers are known, those that start
// are found, with their address, within a time, and the output of all is read.
func wantWorking(t *testing.T, d *dockertest.Daemon, e *Engine, within time.Duration) {
	t.Helper()
	pipes, tty := d.Run(dockertest.Container{}), d.Run(dockertest.Container{TTY: true})
	start(t, e, 20*time.Second)
	known := func(id string) func(Snapshot) bool {
		return has(id, func(c *Container) bool { return c.Running && len(c.Networks) == 1 && c.Networks[0].IP != "" })
	}
	begun := time.Now()
	await(t, e, known(pipes))
	await(t, e, known(tty))
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("the first containers are known after %v", took)
	}
	<-time.After(time.Minute)
	begun = time.Now()
	later := d.Run(dockertest.Container{})
	await(t, e, known(later))
	if took := time.Since(begun); took > within {
		t.Errorf("a container that starts is known after %v, want %v", took, within)
	}
	for _, id := range []string{pipes, tty, later} {
		d.Print(id, "stdout", "hello\n")
		c, err := e.Inspect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Logs(t.Context(), id, LogOptions{TTY: c.TTY, Unknown: c.LogDriver == ""})
		if err != nil {
			t.Fatal(err)
		}
		out, err := decode(r)
		if err != nil || len(out) != 1 || out[0].Text != "hello" || out[0].Partial {
			t.Errorf("output %+v, %v", out, err)
		}
	}
	if s := e.Status(); !s.Connected {
		t.Errorf("status %+v", s)
	}
	if _, err := e.Inspect(t.Context(), "unknown"); !IsNotFound(err) {
		t.Errorf("a container that does not exist: %v", err)
	}
}

// wantOneWarning fails the test unless the right is named, once, also after
// hours and over reconnects.
func wantOneWarning(t *testing.T, d *dockertest.Daemon, log *logBuffer, allow string) {
	t.Helper()
	for range 3 {
		<-time.After(time.Hour)
		d.CutConnections()
	}
	<-time.After(time.Minute)
	if n := strings.Count(log.String(), "allow "+allow); n != 1 || strings.Count(log.String(), "level=WARN")+strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("want one warning that says to allow %s:\n%s", allow, log)
	}
	if strings.Contains(log.String(), "cannot reach the Docker Engine") {
		t.Errorf("the Engine is said to be out of reach:\n%s", log)
	}
}

func TestWithoutThePingEverythingWorks(t *testing.T) {
	for _, lowest := range []string{"1.24", "1.44"} {
		eachRefusal(t, "/_ping", func(t *testing.T, d *dockertest.Daemon, e *Engine, log *logBuffer) {
			d.SetAPI(lowest, "1.53")
			wantWorking(t, d, e, time.Second)
			if strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

func TestWithoutTheVersionEverythingWorks(t *testing.T) {
	for _, highest := range []string{"1.41", "1.60"} {
		eachRefusal(t, "/version", func(t *testing.T, d *dockertest.Daemon, e *Engine, _ *logBuffer) {
			d.SetAPI("1.24", highest)
			wantWorking(t, d, e, time.Second)
		})
	}
}

func TestWithoutPingAndVersionTheOldestVersionIsFound(t *testing.T) {
	for lowest, want := range map[string]string{"1.24": "1.24", "1.44": "1.44", "1.12": "1.24"} {
		eachRefusal(t, "/_ping", func(t *testing.T, d *dockertest.Daemon, e *Engine, _ *logBuffer) {
			d.Refuse("/version", http.StatusForbidden)
			d.SetAPI(lowest, "1.53")
			wantWorking(t, d, e, time.Second)
			if got := e.Status().APIVersion; got != want {
				t.Errorf("an Engine from %s on is spoken to in %s", lowest, got)
			}
		})
	}
}

func TestWithoutEventsTheContainersAreListedAtTheRefreshInterval(t *testing.T) {
	eachFailure(t, "/events", append(refusals(), http.StatusInternalServerError, http.StatusBadGateway), func(t *testing.T, d *dockertest.Daemon, e *Engine, log *logBuffer) {
		wantWorking(t, d, e, 21*time.Second)
		id := d.Run(dockertest.Container{AutoRemove: true})
		await(t, e, has(id, func(c *Container) bool { return c.Running }))
		d.Stop(id)
		await(t, e, has(id, func(c *Container) bool { return c.Ended }))
		wantOneWarning(t, d, log, "GET /events (EVENTS=1")
		d.Refuse("/events", 0)
		<-time.After(retryRefused + time.Minute)
		d.AwaitSubscribers(1)
		begun := time.Now()
		id = d.Run(dockertest.Container{})
		await(t, e, has(id, func(c *Container) bool { return c.Running }))
		if took := time.Since(begun); took > time.Second {
			t.Errorf("with events allowed again, a container is known after %v", took)
		}
	})
}

func TestWithoutEventsAndARefreshIntervalTheContainersAreListedEachMinute(t *testing.T) {
	eachRefusal(t, "/events", func(t *testing.T, d *dockertest.Daemon, e *Engine, _ *logBuffer) {
		follow(t, e, 0)
		id := d.Run(dockertest.Container{})
		begun := time.Now()
		await(t, e, has(id, func(c *Container) bool { return c.Running }))
		if took := time.Since(begun); took > pollInterval+time.Second {
			t.Errorf("a container is known after %v", took)
		}
	})
}

func TestAnEventStreamThatIsLateIsStillFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		client := d.Client()
		client.Transport = slow{client.Transport, "/events", 20 * time.Second}
		e, err := NewPool(nil).Engine(Config{Host: d.Host(), Client: client})
		if err != nil {
			t.Fatal(err)
		}
		follow(t, e, time.Hour)
		missed := d.Run(dockertest.Container{})
		await(t, e, has(missed, func(c *Container) bool { return c.Running && len(c.Networks) == 1 }))
	})
}

func TestWithoutTheListTheErrorNamesTheRight(t *testing.T) {
	eachRefusal(t, "/containers/json", func(t *testing.T, _ *dockertest.Daemon, e *Engine, log *logBuffer) {
		start(t, e, time.Minute)
		<-time.After(10 * time.Minute)
		if s := e.Status(); s.Connected || s.Err == nil {
			t.Fatalf("status %+v", s)
		}
		status := e.Status().Err.Error()
		const right = "allow GET /containers/json (CONTAINERS=1"
		if !strings.Contains(status, right) {
			t.Errorf("status: %s", status)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), right) {
			t.Errorf("%d log lines:\n%s", n, log)
		}
	})
}

func TestWithoutInspectionsTheListIsUsed(t *testing.T) {
	eachRefusal(t, "/containers/{id}/json", func(t *testing.T, d *dockertest.Daemon, e *Engine, log *logBuffer) {
		ended := d.Run(dockertest.Container{})
		d.Stop(ended)
		wantWorking(t, d, e, 2*time.Second)
		if n := d.Count("/containers/json"); n > 10 {
			t.Errorf("%d lists", n)
		}
		wantOneWarning(t, d, log, "GET /containers/{id}/json (CONTAINERS=1")
		d.Refuse("/containers/{id}/json", 0)
		<-time.After(retryRefused + time.Minute)
		id := d.Run(dockertest.Container{TTY: true})
		await(t, e, has(id, func(c *Container) bool { return c.TTY && c.LogDriver != "" }))
	})
}

func TestWithoutLogsTheContainersAreKnown(t *testing.T) {
	eachRefusal(t, "/containers/{id}/logs", func(t *testing.T, d *dockertest.Daemon, e *Engine, _ *logBuffer) {
		id := d.Run(dockertest.Container{})
		follow(t, e, time.Minute)
		await(t, e, has(id, func(c *Container) bool { return c.Running && len(c.Networks) == 1 }))
	})
}

func TestWithoutNetworksTheContainersAreKnown(t *testing.T) {
	eachRefusal(t, "/networks", func(t *testing.T, d *dockertest.Daemon, e *Engine, log *logBuffer) {
		wantWorking(t, d, e, time.Second)
		wantOneWarning(t, d, log, "GET /networks (NETWORKS=1")
	})
}

func snapshotOf(e *Engine) Snapshot {
	s, _ := e.Snapshot()
	return s
}

func TestNetworksAreAskedForAgainWhenTheyMayBeAllowed(t *testing.T) {
	// That a single network is not found is no refusal.
	refused := []int{http.StatusForbidden, http.StatusMethodNotAllowed, dockertest.Hang}
	for _, path := range []string{"/networks", "/networks/{id}"} {
		eachFailure(t, path, refused, func(t *testing.T, d *dockertest.Daemon, e *Engine, _ *logBuffer) {
			follow(t, e, 0)
			d.AddNetwork(dockertest.Network{ID: "later", Name: "later"})
			id := d.Run(dockertest.Container{Networks: map[string]string{"later": "10.0.0.2"}})
			var network string
			await(t, e, has(id, func(c *Container) bool {
				if len(c.Networks) == 1 {
					network = c.Networks[0].NetworkID
				}
				return network != ""
			}))
			<-time.After(time.Minute)
			if n := snapshotOf(e).Networks[network]; n != nil {
				t.Errorf("the network is known: %+v", n)
			}
			d.Refuse(path, 0)
			<-time.After(retryRefused + time.Minute)
			if n := snapshotOf(e).Networks[network]; n == nil {
				t.Errorf("the network is not known after %v", retryRefused)
			}
		})
	}
}

func TestContainersAreInspectedWhenTheyMayBe(t *testing.T) {
	eachRefusal(t, "/containers/{id}/json", func(t *testing.T, d *dockertest.Daemon, e *Engine, _ *logBuffer) {
		follow(t, e, 0)
		id := d.Run(dockertest.Container{TTY: true})
		await(t, e, has(id, func(c *Container) bool { return c.Running && c.LogDriver == "" }))
		d.Refuse("/containers/{id}/json", 0)
		<-time.After(2*retryRefused + time.Minute)
		await(t, e, has(id, func(c *Container) bool { return c.TTY && c.LogDriver != "" }))
	})
}

func TestWithoutASingleNetworkTheContainersAreKnown(t *testing.T) {
	eachRefusal(t, "/networks/{id}", func(t *testing.T, d *dockertest.Daemon, e *Engine, _ *logBuffer) {
		wantWorking(t, d, e, time.Second)
		id := d.Run(dockertest.Container{Networks: map[string]string{"new": "10.0.0.2"}})
		await(t, e, has(id, func(c *Container) bool { return c.Running && len(c.Networks) == 1 }))
	})
}

// The list in the documentation of the stack is what proxies are configured by.
func TestTheStackListsWhatIsMissingWithoutEachRequest(t *testing.T) {
	text, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range allRights() {
		row := fmt.Sprintf("| `%s` (`%s`) |", r.request, r.variable)
		if n := strings.Count(string(text), row); n != 1 {
			t.Errorf("deploy/README.md has %d rows that begin with %q", n, row)
		}
	}
}

// A proxy may allow a request for some containers only.
func TestAContainerThatMayNotBeInspectedCostsTheOthersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		d := dockertest.NewPipe(t)
		id, other := d.Run(dockertest.Container{}), d.Run(dockertest.Container{})
		e := open(t, d, log)
		follow(t, e, time.Minute)
		for range 10 {
			if c, err := e.Inspect(t.Context(), id); err != nil || c.LogDriver == "" {
				t.Fatalf("inspected: %+v, %v", c, err)
			}
			d.Fail("/containers/"+other+"/json", http.StatusForbidden, "not this one")
			if c, err := e.Inspect(t.Context(), other); err != nil || c.LogDriver != "" || !c.Running {
				t.Fatalf("from the list: %+v, %v", c, err)
			}
			<-time.After(time.Minute)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log)
		}
	})
}

// A component that only reads logs may use an Engine that nobody else follows.
func TestWithoutInspectionsAContainerIsListedByItself(t *testing.T) {
	eachRefusal(t, "/containers/{id}/json", func(t *testing.T, d *dockertest.Daemon, e *Engine, _ *logBuffer) {
		id := d.Run(dockertest.Container{Name: "app"})
		if c, err := e.Inspect(t.Context(), id); err != nil || c.Name != "/app" || !c.Running || c.LogDriver != "" {
			t.Errorf("container %+v, %v", c, err)
		}
		if _, err := e.Inspect(t.Context(), "unknown"); !IsNotFound(err) {
			t.Errorf("a container that does not exist: %v", err)
		}
	})
}
