package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/docker/dockertest"
)

// logBuffer collects log output.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// open returns the Engine of a test's daemon.
func open(t *testing.T, d *dockertest.Daemon, log io.Writer) *Engine {
	t.Helper()
	if log == nil {
		log = io.Discard
	}
	c := Config{Host: d.Host()}
	if strings.HasPrefix(c.Host, "http://") {
		c.Client, c.Key = d.Client(), "test"
	}
	e, err := NewPool(slog.New(slog.NewTextHandler(log, nil))).Engine(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// follow runs an Engine for the rest of the test, and waits for the first list.
func follow(t *testing.T, e *Engine, refresh time.Duration) {
	t.Helper()
	start(t, e, refresh)
	await(t, e, func(s Snapshot) bool { return s.Listed })
}

func start(t *testing.T, e *Engine, refresh time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx, refresh)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// await waits for a snapshot.
func await(t *testing.T, e *Engine, ok func(Snapshot) bool) Snapshot {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		s, changed := e.Snapshot()
		if ok(s) {
			return s
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited 2 min; the snapshot is %+v, the status %+v", s, e.Status())
		}
	}
}

func get(s Snapshot, id string) *Container {
	for _, c := range s.Containers {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func has(id string, ok func(*Container) bool) func(Snapshot) bool {
	return func(s Snapshot) bool {
		c := get(s, id)
		return c != nil && ok(c)
	}
}

func TestContainersThatRunAreListedWithWhatDiscoveryNeeds(t *testing.T) {
	d := dockertest.New(t)
	d.AddNetwork(dockertest.Network{Name: "front", Internal: true, Labels: map[string]string{"a": "b"}})
	id := d.Run(dockertest.Container{
		Name: "app", Labels: map[string]string{"x": "y"}, NetworkMode: "front",
		Networks: map[string]string{"front": "10.0.0.2", "back": "10.1.0.2"},
		Ports:    []dockertest.Port{{Private: 80, Public: 8080, IP: "0.0.0.0"}, {Private: 53, Type: "udp"}},
	})
	e := open(t, d, nil)
	follow(t, e, 0)
	s, _ := e.Snapshot()
	c := get(s, id)
	if c == nil || len(c.Networks) != 2 {
		t.Fatalf("snapshot %+v", s)
	}
	front := s.Networks[c.Networks[1].NetworkID]
	want := &Container{
		ID: id, Name: "/app", Running: true, Labels: map[string]string{"x": "y"}, State: "running", NetworkMode: "front",
		Networks: []Endpoint{{"back", c.Networks[0].NetworkID, "10.1.0.2"}, {"front", front.ID, "10.0.0.2"}},
		Ports:    []Port{{53, 0, "udp", ""}, {80, 8080, "tcp", "0.0.0.0"}},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&Network{ID: front.ID, Name: "front", Scope: "local", Internal: true, Labels: map[string]string{"a": "b"}}, front); diff != "" {
		t.Error(diff)
	}
}

func TestAContainerAppearsWithItsStartAndEndsWithItsEnd(t *testing.T) {
	d := dockertest.New(t)
	e := open(t, d, nil)
	follow(t, e, 0)
	id := d.Create(dockertest.Container{Name: "app", TTY: true, Labels: map[string]string{"name": "label"}})
	await(t, e, has(id, func(c *Container) bool { return !c.Running && c.State == "created" && c.TTY }))
	d.Start(id)
	s := await(t, e, has(id, func(c *Container) bool { return c.Running && len(c.Networks) == 1 && c.Networks[0].IP != "" }))
	if c := get(s, id); c.Name != "/app" || c.Labels["name"] != "label" || c.StartedAt.IsZero() || s.Networks[c.Networks[0].NetworkID] == nil {
		t.Errorf("container %+v", c)
	}
	d.Rename(id, "other")
	await(t, e, has(id, func(c *Container) bool { return c.Name == "/other" }))
	d.Pause(id)
	await(t, e, has(id, func(c *Container) bool { return c.Running && c.State == "paused" }))
	d.Unpause(id)
	await(t, e, has(id, func(c *Container) bool { return c.State == "running" }))
	d.Connect(id, "new", "10.9.9.9")
	s = await(t, e, has(id, func(c *Container) bool { return len(c.Networks) == 2 }))
	await(t, e, func(s Snapshot) bool {
		n := s.Networks[get(s, id).Networks[1].NetworkID]
		return n != nil && n.Name == "new"
	})
	d.Stop(id)
	s = await(t, e, has(id, func(c *Container) bool { return !c.Running }))
	if c := get(s, id); !c.Ended || c.State != "exited" || c.Networks[0].IP == "" || c.FinishedAt.IsZero() {
		t.Errorf("container %+v", c)
	}
}

func TestAContainerThatLivesForAMomentIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		e := open(t, d, nil)
		follow(t, e, 0)
		d.AwaitSubscribers(1)
		id := d.Run(dockertest.Container{Name: "short", Labels: map[string]string{"a": "b"}, AutoRemove: true})
		d.Stop(id)
		begun := time.Now()
		s := await(t, e, has(id, func(*Container) bool { return true }))
		if c := get(s, id); !c.Ended || c.Name != "/short" || c.Labels["a"] != "b" {
			t.Errorf("container %+v", c)
		}
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		await(t, e, func(s Snapshot) bool { return get(s, id) == nil })
		if stayed := time.Since(begun); stayed < linger || stayed > linger+time.Second {
			t.Errorf("it stayed for %v", stayed)
		}
	})
}

func TestASnapshotWaitsOnlyBrieflyForAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		e := open(t, d, nil)
		follow(t, e, 0)
		d.Fail("/containers/", http.StatusInternalServerError, "busy")
		begun := time.Now()
		id := d.Run(dockertest.Container{})
		await(t, e, has(id, func(c *Container) bool { return c.Running }))
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("the start was visible after %v", took)
		}
	})
}

func TestABurstOfEventsMakesFewSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		e := open(t, d, nil)
		follow(t, e, 0)
		var last string
		for range 200 {
			last = d.Run(dockertest.Container{})
		}
		begun, snapshots := time.Now(), 0
		await(t, e, func(s Snapshot) bool { snapshots++; return len(s.Containers) == 200 && len(get(s, last).Networks) == 1 })
		if took := time.Since(begun); snapshots > 10 || took > 100*time.Millisecond {
			t.Errorf("%d snapshots in %v", snapshots, took)
		}
	})
}

func TestEndedContainersStayListedWithoutTheMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		e := open(t, d, nil)
		id := d.Run(dockertest.Container{})
		follow(t, e, time.Second)
		d.Stop(id)
		await(t, e, has(id, func(c *Container) bool { return c.Ended && c.Networks[0].IP != "" }))
		begun := time.Now()
		await(t, e, has(id, func(c *Container) bool { return !c.Ended && c.State == "exited" && c.Networks[0].IP == "" }))
		if took := time.Since(begun); took < linger-2*minGap {
			t.Errorf("the mark went after %v", took)
		}
	})
}

func TestSteadyStateCostsOneRequestPerRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		for range 100 {
			d.Run(dockertest.Container{})
		}
		e := open(t, d, nil)
		follow(t, e, time.Minute)
		synctest.Wait()
		before := len(d.Requests())
		<-time.After(10*time.Minute + time.Second)
		synctest.Wait()
		if n := len(d.Requests()) - before; n != 10 {
			t.Errorf("%d requests in 10 minutes: %+v", n, d.Requests()[before:])
		}
	})
}

func TestTheShortestRefreshIntervalCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		e := open(t, d, nil)
		follow(t, e, time.Hour)
		stop := start(t, e, 5*time.Second)
		<-time.After(26 * time.Second)
		if n := d.Count("/containers/json"); n != 6 {
			t.Errorf("%d lists", n)
		}
		stop()
		<-time.After(30 * time.Minute)
		if n := d.Count("/containers/json"); n != 6 {
			t.Errorf("%d lists after the second user has gone", n)
		}
	})
}

func TestTheNextListHasWhatEventsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		stays, goes, ends := d.Run(dockertest.Container{}), d.Run(dockertest.Container{}), d.Run(dockertest.Container{})
		e := open(t, d, nil)
		follow(t, e, 0)
		d.Shutdown()
		d.Remove(goes)
		d.Stop(ends)
		comes := d.Run(dockertest.Container{})
		old := d.Run(dockertest.Container{Name: "ended while nobody watched"})
		d.Stop(old)
		<-time.After(time.Minute)
		d.Restart()
		back := time.Now()
		s := await(t, e, func(s Snapshot) bool { return get(s, comes) != nil })
		if took := time.Since(back); took > 5*time.Second {
			t.Errorf("recovery took %v", took)
		}
		if c := get(s, goes); c == nil || !c.Ended || !get(s, stays).Running || !get(s, comes).Running {
			t.Errorf("snapshot %+v", s)
		}
		if c := get(s, ends); !c.Ended || c.State != "exited" || c.Networks[0].IP == "" {
			t.Errorf("container %+v", c)
		}
		await(t, e, has(old, func(c *Container) bool { return c.Ended }))
	})
}

func TestContainersThatEndedLongAgoAreNotRevived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		old, recent := d.Run(dockertest.Container{}), d.Run(dockertest.Container{})
		d.Stop(old)
		<-time.After(2 * time.Hour)
		d.Stop(recent)
		e := open(t, d, nil)
		follow(t, e, 0)
		s := await(t, e, has(recent, func(c *Container) bool { return c.Ended }))
		synctest.Wait()
		if get(s, old).Ended {
			t.Error("a container that ended two hours ago is shown as just ended")
		}
	})
}

func TestTheVersionIsNegotiatedAgainAfterAReconnect(t *testing.T) {
	for _, v := range []struct{ lowest, highest, want string }{
		{"1.12", "1.24", "1.24"}, {"1.24", "1.41", "1.41"}, {"1.24", "1.43", "1.43"},
		{"1.44", "1.44", "1.44"}, {"1.44", "1.53", "1.51"}, {"1.60", "1.65", "1.65"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := dockertest.NewPipe(t)
			e := open(t, d, nil)
			follow(t, e, 0)
			d.Shutdown()
			d.SetAPI(v.lowest, v.highest)
			d.Restart()
			id := d.Run(dockertest.Container{})
			await(t, e, has(id, func(*Container) bool { return true }))
			if got := e.Status().APIVersion; got != v.want {
				t.Errorf("offered %s to %s, it speaks %s, want %s", v.lowest, v.highest, got, v.want)
			}
		})
	}
}

func TestARequestFollowsAVersionThatChangesUnderIt(t *testing.T) {
	d := dockertest.New(t)
	id := d.Run(dockertest.Container{TTY: true, LogDriver: "local"})
	e := open(t, d, nil)
	for _, version := range []string{"1.51", "1.40", "1.30"} {
		d.SetAPI(version, version)
		c, err := e.Inspect(t.Context(), id)
		if err != nil || !c.TTY || c.LogDriver != "local" {
			t.Errorf("%s: %+v, %v", version, c, err)
		}
	}
}

func TestAnyErrorIsFollowedByAnotherAttempt(t *testing.T) {
	for _, path := range []string{"/_ping", "/containers/json", "/networks"} {
		synctest.Test(t, func(t *testing.T) {
			d := dockertest.NewPipe(t)
			d.Fail(path, http.StatusServiceUnavailable, "not now")
			if path == "/_ping" {
				d.Fail("/version", http.StatusServiceUnavailable, "not now")
			}
			log := &logBuffer{}
			e := open(t, d, log)
			start(t, e, 0)
			<-time.After(10 * time.Minute)
			if s := e.Status(); s.Connected || s.Err == nil || !strings.Contains(s.Err.Error(), "not now") {
				t.Errorf("%s: status %+v", path, s)
			}
			if n := d.Count(path); n < 100 || n > 400 {
				t.Errorf("%s: %d attempts in 10 minutes", path, n)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%s: %d log lines:\n%s", path, n, log)
			}
			d.Fail(path, 0, "")
			d.Fail("/version", 0, "")
			await(t, e, func(s Snapshot) bool { return s.Listed })
			synctest.Wait()
			if s := e.Status(); !s.Connected || s.Err != nil {
				t.Errorf("%s: status %+v", path, s)
			}
			if !strings.Contains(log.String(), "connected to the Docker Engine") {
				t.Errorf("%s: the recovery is not logged:\n%s", path, log)
			}
		})
	}
}

func TestNetworksThatAProxyForbidsCostNothingElse(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusUnauthorized, http.StatusNotFound, http.StatusNotImplemented} {
		synctest.Test(t, func(t *testing.T) {
			log := &logBuffer{}
			d := dockertest.NewPipe(t)
			d.Fail("/networks", status, "forbidden by the proxy")
			first := d.Run(dockertest.Container{})
			e := open(t, d, log)
			follow(t, e, time.Minute)
			second := d.Run(dockertest.Container{Networks: map[string]string{"front": "10.0.0.2"}})
			s := await(t, e, has(second, func(c *Container) bool { return c.Running && len(c.Networks) == 1 }))
			if c := get(s, first); c == nil || len(c.Networks) != 1 || c.Networks[0].Name != "bridge" {
				t.Errorf("the container is %+v", c)
			}
			for range 3 {
				<-time.After(10 * time.Minute)
				d.CutConnections()
			}
			<-time.After(time.Minute)
			synctest.Wait()
			// One for each connection, and one each five minutes.
			if n := d.Count("/networks"); n < 5 || n > 10 {
				t.Errorf("%d requests for networks in four connections of 10 minutes", n)
			}
			if n := strings.Count(log.String(), "allow GET /networks"); n != 1 {
				t.Errorf("%d warnings:\n%s", n, log)
			}
			if s := e.Status(); !s.Connected {
				t.Errorf("status %+v", s)
			}
			d.Fail("/networks", 0, "")
			d.CutConnections()
			await(t, e, func(s Snapshot) bool { return len(s.Networks) == 4 })
			d.Run(dockertest.Container{Networks: map[string]string{"back": "10.0.0.3"}})
			await(t, e, func(s Snapshot) bool { return len(s.Networks) == 5 })
		})
	}
}

// slow is a transport that waits before it sends what it is asked to delay.
type slow struct {
	next http.RoundTripper
	path string
	by   time.Duration
}

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, s.path) {
		select {
		case <-time.After(s.by):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return s.next.RoundTrip(r)
}

func TestAnEngineThatIsSlowToListIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		for range 2000 {
			d.Create(dockertest.Container{})
		}
		client := d.Client()
		client.Transport = slow{client.Transport, "/containers/json", 90 * time.Second}
		e, err := NewPool(nil).Engine(Config{Host: d.Host(), Client: client})
		if err != nil {
			t.Fatal(err)
		}
		start(t, e, time.Minute)
		<-time.After(100 * time.Second)
		synctest.Wait()
		if s, _ := e.Snapshot(); len(s.Containers) != 2000 || !e.Status().Connected {
			t.Errorf("%d containers, status %+v", len(s.Containers), e.Status())
		}
	})
}

func TestACutEventStreamIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		d := dockertest.NewPipe(t)
		e := open(t, d, log)
		follow(t, e, 0)
		synctest.Wait()
		for range 20 {
			d.CutConnections()
			<-time.After(time.Minute)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("log:\n%s", log)
		}
		id := d.Run(dockertest.Container{})
		await(t, e, has(id, func(c *Container) bool { return c.Running }))
	})
}

func TestAnEngineThatDoesNotExistIsNamedWithWhatToDo(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	e, err := NewPool(nil).Engine(Config{Host: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = e.Inspect(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "unix://"+socket) || !strings.Contains(err.Error(), "no such socket") {
		t.Errorf("error %v", err)
	}
}

func TestPermissionDeniedNamesTheGroupToAdd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	if err := os.WriteFile(socket, nil, 0o660); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o660); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(socket, -1, os.Getgid()); err != nil {
		t.Skip(err)
	}
	end := endpoint{host: "unix://" + socket, socket: socket}
	err := end.explain(&os.PathError{Op: "dial", Err: os.ErrPermission})
	want := "permission denied: it belongs to group " + strconv.Itoa(os.Getgid())
	if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "group_add") || !errors.Is(err, os.ErrPermission) {
		t.Errorf("error %v, want %q in it", err, want)
	}
}

func TestHosts(t *testing.T) {
	for _, host := range []string{"unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "http://proxy:2375", "https://proxy:2376/path"} {
		if _, err := NewPool(nil).Engine(Config{Host: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"", "/var/run/docker.sock", "npipe:////./pipe/docker_engine", "ssh://host", "unix://", "tcp://"} {
		if _, err := NewPool(nil).Engine(Config{Host: host}); err == nil || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: error %v", host, err)
		}
	}
}

func TestThePoolSharesEnginesByHostAndClient(t *testing.T) {
	p := NewPool(nil)
	engine := func(host, key string) *Engine {
		e, err := p.Engine(Config{Host: host, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	a := engine("tcp://a:1", "")
	if a != engine("tcp://a:1", "") || a == engine("tcp://b:1", "") || a == engine("tcp://a:1", "other") {
		t.Error("Engines are shared otherwise than by host and client")
	}
}

func TestTheLastUserEndsTheLoopAndTheNextStartsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dockertest.NewPipe(t)
		e := open(t, d, nil)
		first, second := start(t, e, 0), start(t, e, 0)
		d.AwaitSubscribers(1)
		first()
		synctest.Wait()
		d.AwaitSubscribers(1)
		second()
		d.AwaitSubscribers(0)
		if e.Status().Connected {
			t.Error("it is connected without a user")
		}
		follow(t, e, 0)
		id := d.Run(dockertest.Container{})
		await(t, e, has(id, func(c *Container) bool { return c.Running }))
	})
}

func TestOnlyGETRequestsAreSent(t *testing.T) {
	r, err := http.NewRequest(http.MethodHead, "http://docker/_ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (getOnly{http.DefaultTransport}).RoundTrip(r); err == nil || !strings.Contains(err.Error(), "HEAD") {
		t.Errorf("error %v", err)
	}
}

func TestMatchAsksTheEngine(t *testing.T) {
	d := dockertest.New(t)
	a := d.Create(dockertest.Container{Image: "one"})
	d.Create(dockertest.Container{Image: "two"})
	got, err := open(t, d, nil).Match(t.Context(), map[string][]string{"ancestor": {"one"}})
	if diff := cmp.Diff(map[string]bool{a: true}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}
