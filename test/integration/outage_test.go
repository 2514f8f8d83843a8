//go:build integration

package integration

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/grafana/pyroscope/api/model/labelset"

	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

// outage is how long every destination is away.
const outage = 60 * time.Second

// TestEachItemArrivesOnce stops and starts containers and the collector, and
// takes every destination away, while lines, spans and profiles keep coming.
// Each that was acknowledged arrives once.
func TestEachItemArrivesOnce(t *testing.T) {
	s := startStack(t)
	writer := s.Engine.Run(t, harness.Container{
		Name: "steady", Labels: compose("demo", "steady"),
		Args: []string{"-lines=100000", "-interval=10ms", "-streams=stdout,stderr", "-stay"},
	})
	restarted := s.Engine.Run(t, harness.Container{
		Name: "restarted", Labels: compose("demo", "restarted"), Args: []string{"-lines=2000", "-interval=1ms", "-stay"},
	})
	s.Collector.Start(t)
	spans := harness.StartSender(t, 100*time.Millisecond, harness.SpanSender(t, harness.Address(s.GRPCPort)))
	profiles := harness.StartSender(t, 100*time.Millisecond, harness.ProfileSender("http://"+harness.Address(s.PyroscopePort)))

	t.Log("docker stop and start")
	for range 3 {
		stopAndStart(t, s.Engine, restarted)
	}
	t.Log("restart of the collector")
	s.Collector.Stop(t)
	stopAndStart(t, s.Engine, restarted)
	s.Collector.Start(t)

	t.Logf("outage of %s", outage)
	for _, f := range s.Fronts {
		f.Set(t, harness.Outage{Refuse: true})
	}
	harness.Wait(outage / 2)
	s.Collector.Accounts(t)
	t.Log("restart of the collector in the outage")
	s.Collector.Stop(t)
	s.Collector.Start(t)
	stopAndStart(t, s.Engine, restarted)
	harness.Wait(outage / 2)
	for _, f := range s.Fronts {
		f.Set(t, harness.Outage{})
	}

	sentSpans, sentProfiles := spans.Stop(), profiles.Stop()
	s.Engine.Client.ContainerStop(context.Background(), writer, container.StopOptions{})
	t.Logf("%d spans and %d profiles were acknowledged", len(sentSpans), len(sentProfiles))
	for name, id := range map[string]string{"steady": writer, "restarted": restarted} {
		labels := map[string]string{"platform": "docker", "project": "demo", "service": name, "container": name}
		harness.Eventually(t, 90*time.Second, func() error { return s.checkLogs(t, id, labels) })
	}
	harness.Eventually(t, 60*time.Second, func() error { return harness.OnceEach(sentSpans, s.Tempo.SpanNumbers()) })
	harness.Eventually(t, 60*time.Second, func() error { return harness.OnceEach(sentProfiles, harness.ProfileNumbers(s.Pyroscope)) })
	harness.Eventually(t, 30*time.Second, func() error { return s.Collector.Drained(t) })
	for _, account := range s.Collector.Accounts(t) {
		t.Logf("%+v", account)
		if account.Dropped > 0 {
			t.Errorf("%s dropped %v items", account.Component, account.Dropped)
		}
	}
	s.Collector.Stop(t)
}

func stopAndStart(t *testing.T, engine *harness.Engine, id string) {
	t.Helper()
	second := 1
	if err := engine.Client.ContainerStop(context.Background(), id, container.StopOptions{Timeout: &second}); err != nil {
		t.Fatal(err)
	}
	if err := engine.Client.ContainerStart(context.Background(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Wait(3 * time.Second)
}

// compareProfiles is nil once each profile that was sent has arrived, as it was
// sent, once, and nothing else has.
func compareProfiles(sent []request, server *profilestest.Server) error {
	arrived := make(map[string]int)
	for _, r := range server.Requests() {
		key, err := profileKey(request{r.Path, r.Query, r.ContentType, r.Body})
		if err != nil {
			return err
		}
		arrived[key]++
	}
	for i, r := range sent {
		key, err := profileKey(r)
		if err != nil {
			return err
		}
		if n := arrived[key]; n != 1 {
			return fmt.Errorf("profile %d of %d (%s?%s) arrived %d times", i+1, len(sent), r.Path, r.Query, n)
		}
	}
	if len(arrived) != len(sent) {
		return fmt.Errorf("%d profiles arrived, %d were acknowledged", len(arrived), len(sent))
	}
	return nil
}

// profileKey distinguishes profiles by everything that was sent. The labels inside the
// name may be in any order, and the application's name may be among them as service_name,
// too: Alloy sorts them and adds that.
func profileKey(r request) (string, error) {
	query, err := url.ParseQuery(r.Query)
	if err != nil {
		return "", err
	}
	name, err := labelset.Parse(query.Get("name"))
	if err != nil {
		return "", err
	}
	if _, ok := name.Labels()["service_name"]; !ok {
		name.Add("service_name", name.ServiceName())
	}
	query.Set("name", name.Normalized())
	return fmt.Sprintf("%s?%s %s %x", r.Path, query.Encode(), r.ContentType, sha256.Sum256(r.Body)), nil
}
