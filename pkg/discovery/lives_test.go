package discovery

import (
	"fmt"
	"testing"
	"time"

	"collector/pkg/docker"
	"collector/pkg/docker/dockertest"
	"collector/pkg/inspect"
)

// awaitLives waits until check finds nothing wrong.
func awaitLives(t *testing.T, d *Docker, check func() error) {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		_, changed := d.engine.Snapshot()
		err := check()
		if err == nil {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatal(err)
		}
	}
}

// at is a time of one day.
func at(clock string) time.Time {
	t, err := time.Parse("15:04", clock)
	if err != nil {
		panic(err)
	}
	return t
}

// livesByName are the lives of a component's containers.
func livesByName(d *Docker) map[string]inspect.Life {
	out := map[string]inspect.Life{}
	for _, l := range d.Lives() {
		out[l.Name] = l
	}
	return out
}

func TestCrashLoopsAndEndedContainersAreListed(t *testing.T) {
	daemon := dockertest.New(t)
	labels := map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "api"}
	loop := daemon.Run(dockertest.Container{Name: "loop", Labels: labels, RestartPolicy: "always"})
	crash := daemon.Run(dockertest.Container{Name: "crash"})
	job := daemon.Run(dockertest.Container{Name: "job"})
	removed := daemon.Run(dockertest.Container{Name: "removed", Labels: labels})
	daemon.Run(dockertest.Container{Name: "fine"})
	daemon.Create(dockertest.Container{Name: "created"})
	d := newDocker(t, daemon, dockerConfig(daemon))
	run(t, d)
	await(t, d.set, count(5))
	for range 4 {
		daemon.Exit(loop, 0)
		daemon.Start(loop)
		daemon.Exit(crash, 3)
		daemon.Start(crash)
		daemon.Exit(job, 0) // started by hand, and done
		daemon.Start(job)
	}
	daemon.Exit(job, 0)
	daemon.Exit(removed, 137)
	daemon.Remove(removed)
	awaitLives(t, d, func() error {
		got := livesByName(d)
		l, c := got["loop"], got["crash"]
		if !l.Looping || l.Ends != 4 || l.ExitCode != 0 || l.Project != "shop" || l.Service != "api" {
			return fmt.Errorf("loop: %+v", l)
		}
		if !c.Looping || c.Ends != 4 || c.ExitCode != 3 {
			return fmt.Errorf("crash: %+v", c)
		}
		if j := got["job"]; j.Looping || j.EndedAt.IsZero() || j.Removed || j.Ends != 5 {
			return fmt.Errorf("job: %+v", j)
		}
		if r := got["removed"]; !r.Removed || r.ExitCode != 137 || r.EndedAt.IsZero() || r.Service != "api" {
			return fmt.Errorf("removed: %+v", r)
		}
		if len(got) != 4 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
}

func TestLivesAreOfContainersThatTheFiltersLetThrough(t *testing.T) {
	daemon := dockertest.New(t)
	ids := []string{daemon.Run(dockertest.Container{Name: "mine", Labels: map[string]string{"mine": "yes"}}), daemon.Run(dockertest.Container{Name: "other"})}
	c := dockerConfig(daemon)
	c.Filters = []DockerFilter{{Name: "label", Values: []string{"mine=yes"}}}
	d := newDocker(t, daemon, c)
	run(t, d)
	await(t, d.set, count(1))
	for _, id := range ids {
		daemon.Exit(id, 1)
	}
	awaitLives(t, d, func() error {
		if got := livesByName(d); len(got) != 1 || got["mine"].ExitCode != 1 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
}

// What happened longer ago is forgotten.
func TestALifeIsOfTheLastMinutes(t *testing.T) {
	now := at("12:00")
	c := docker.Container{Name: "/x", RestartPolicy: "always", State: "running", Running: true}
	for _, minutes := range []string{"11:50", "11:54", "11:56", "11:57", "11:58"} {
		c.Ends = append(c.Ends, at(minutes))
	}
	if l := lifeOf(&c, now); !l.Looping || l.Ends != 3 || !l.EndedAt.IsZero() {
		t.Errorf("%+v", l)
	}
	if l := lifeOf(&c, at("12:02")); l.Looping || l.Ends != 2 {
		t.Errorf("later: %+v", l)
	}
	c.Running, c.FinishedAt = false, at("11:40")
	if l := lifeOf(&c, now); !l.EndedAt.IsZero() {
		t.Errorf("ended long ago: %+v", l)
	}
}
