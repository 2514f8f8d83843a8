package health

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"collector/pkg/deliver"
	"collector/pkg/inspect"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// writer is a component with destinations.
type writer []deliver.Status

func (w writer) Destinations() []deliver.Status { return w }

func good(signal, url string) deliver.Status {
	return deliver.Status{ID: "x", URL: url, Signal: signal, Healthy: true}
}

func down(signal, url string, since time.Duration, queued uint64) deliver.Status {
	return deliver.Status{ID: "x", URL: url, Signal: signal, DownSince: ago(since), Queued: queued}
}

func off(signal string, dropped uint64) deliver.Status {
	s := deliver.Nowhere(signal, "Its endpoint is switched off: it has no host.")
	s.Received, s.Dropped = dropped, map[string]uint64{"no_destination": dropped}
	return s
}

func full(whenFull string, refused uint64, dropped uint64) deliver.Status {
	s := good("traces", "http://a")
	s.Dropped = map[string]uint64{"queue_full": dropped}
	s.Queue = deliver.Queue{Capacity: 200_000, WhenFull: whenFull, FullSince: ago(time.Second), Refused: refused}
	return s
}

func TestDestinations(t *testing.T) {
	rejecting := deliver.Status{Signal: "logs", DownSince: ago(24 * time.Second), Rejecting: true, Dropped: map[string]uint64{"rejected": 1200}}
	slow := good("logs", "http://a")
	slow.Unanswered, slow.Queued = ago(7*time.Second), 3
	broken := good("logs", "http://a")
	broken.Queue.Failing = "append to queue \"x\": no space left on device"
	other := full("refuse", 1, 0)
	other.Signal = "logs"
	for name, c := range map[string]struct {
		all  writer
		want Finding
	}{
		"none":                             {nil, Finding{}},
		"the only one is well":             {writer{good("logs", "http://a")}, Finding{}},
		"one that is slow is not down":     {writer{slow}, Finding{}},
		"the only one is down":             {writer{down("logs", "http://a", 24*time.Second, 540)}, Finding{Extent: All, Failed: true, Message: "down 24 s, 540 waiting"}},
		"nothing waits":                    {writer{down("logs", "http://a", 90*time.Second, 0)}, Finding{Extent: All, Failed: true, Message: "down 1 min"}},
		"since when is not known":          {writer{{Signal: "logs", Queued: 2}}, Finding{Extent: All, Failed: true, Message: "down, 2 waiting"}},
		"it rejects":                       {writer{rejecting}, Finding{Extent: All, Failed: true, Message: "rejects all data for 24 s, 1,200 dropped"}},
		"one of two, by its host":          {writer{good("logs", "http://a"), down("logs", "http://b:1/x?p=s3cret", 24*time.Second, 5)}, Finding{Extent: Some, Message: "b:1: down 24 s, 5 waiting (1 of 2 destinations)"}},
		"one of two, by its id":            {writer{good("logs", "a:1"), down("logs", "b:1", 24*time.Second, 5)}, Finding{Extent: Some, Message: "x: down 24 s, 5 waiting (1 of 2 destinations)"}},
		"one of two, by its signal":        {writer{good("logs", "http://a"), down("traces", "http://a", 24*time.Second, 5)}, Finding{Extent: Some, Message: "traces: down 24 s, 5 waiting (1 of 2 destinations)"}},
		"two of three":                     {writer{down("logs", "http://a", time.Second, 5), good("logs", "http://b"), down("logs", "http://c", time.Hour, 1000)}, Finding{Extent: Some, Message: "2 of 3 destinations down, the longest for 1 h 0 min, 1,005 waiting"}},
		"all of two":                       {writer{down("logs", "http://a", time.Second, 5), down("logs", "http://c", time.Hour, 0)}, Finding{Extent: All, Failed: true, Message: "all 2 destinations down, the longest for 1 h 0 min, 5 waiting"}},
		"a full queue that refuses":        {writer{full("refuse", 5880, 0)}, Finding{Extent: Some, Message: "queue full (200 kB): 5,880 spans refused, senders retry"}},
		"a full queue that makes wait":     {writer{full("wait", 0, 0)}, Finding{Extent: Some, Message: "queue full (200 kB): senders wait"}},
		"a full queue that drops":          {writer{full("drop_oldest", 0, 4000)}, Finding{Extent: Some, Message: "queue full (200 kB): 4,000 spans dropped, the oldest first"}},
		"two destinations share the queue": {writer{full("refuse", 1, 0), full("refuse", 1, 0)}, Finding{Extent: Some, Message: "queue full (200 kB): 1 span refused, senders retry"}},
		"two signals do not":               {writer{full("refuse", 1, 0), other}, Finding{Extent: Some, Message: "queue full (200 kB): 1 span refused, senders retry; queue full (200 kB): 1 line refused, senders retry"}},
		"no endpoint":                      {writer{off("logs", 0)}, Finding{Extent: All, Failed: true, Message: "no endpoint, all data is dropped: Its endpoint is switched off: it has no host"}},
		"no endpoint for any signal":       {writer{off("logs", 7), off("traces", 0)}, Finding{Extent: All, Failed: true, Message: "no endpoint, all data is dropped, 7 so far: Its endpoint is switched off: it has no host"}},
		"no endpoint for one signal":       {writer{off("logs", 7), good("traces", "http://a")}, Finding{Extent: Some, Message: "logs: no endpoint, 7 dropped (1 of 2 destinations)"}},
		"nothing can be queued":            {writer{broken}, Finding{Extent: All, Message: "cannot write to the queue: append to queue \"x\": no space left on device"}},
	} {
		if got := Of(c.all, now); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
	if says := Destination(&slow, now); says != "no answer for 7 s, 3 waiting" {
		t.Errorf("a slow one: %q", says)
	}
}

// everything is a component that has all parts.
type everything struct {
	writer
	engine  inspect.Engine
	targets []inspect.ScrapeTarget
	tails   []inspect.LogTail
	err     error
}

func (e everything) Engine() inspect.Engine                { return e.engine }
func (e everything) ScrapeTargets() []inspect.ScrapeTarget { return e.targets }
func (e everything) LogTails() []inspect.LogTail           { return e.tails }
func (e everything) Health() error                         { return e.err }
func (e everything) Fetch(context.Context, string) (inspect.Response, error) {
	return inspect.Response{}, inspect.ErrNoTarget
}

func TestPartsAddUp(t *testing.T) {
	up, dead, unknown := inspect.ScrapeTarget{State: "up"}, inspect.ScrapeTarget{State: "down"}, inspect.ScrapeTarget{State: "unknown"}
	failing := inspect.LogTail{Error: "gone"}
	gone := inspect.Engine{Error: "no such file\nmore", Since: ago(24 * time.Second)}
	for name, c := range map[string]struct {
		component everything
		want      Finding
	}{
		"nothing to do":              {everything{}, Finding{}},
		"targets not scraped yet":    {everything{targets: []inspect.ScrapeTarget{unknown}}, Finding{}},
		"one target of three":        {everything{targets: []inspect.ScrapeTarget{up, dead, unknown}}, Finding{Extent: Some, Message: "1 of 3 targets down"}},
		"all targets":                {everything{targets: []inspect.ScrapeTarget{dead, dead}}, Finding{Extent: All, Message: "all 2 targets down"}},
		"the only target":            {everything{targets: []inspect.ScrapeTarget{dead}}, Finding{Extent: All, Message: "its only target is down"}},
		"one tail of two":            {everything{tails: []inspect.LogTail{failing, {}}}, Finding{Extent: Some, Message: "1 of 2 log tails failing"}},
		"Docker":                     {everything{engine: gone}, Finding{Extent: All, Message: "Docker unreachable for 24 s: no such file"}},
		"Docker, not asked yet":      {everything{engine: inspect.Engine{}}, Finding{}},
		"a filter":                   {everything{engine: inspect.Engine{Connected: true, Error: "bad filter"}}, Finding{Extent: Some, Message: "Docker rejects the filters: bad filter"}},
		"a proxy":                    {everything{engine: inspect.Engine{Connected: true, Refused: []string{"GET /a", "GET /b"}}}, Finding{Extent: Some, Message: "Docker does not allow GET /a, GET /b"}},
		"a server that is not there": {everything{err: errors.New("fetch: dial tcp 10.0.0.1:1: connect: connection refused")}, Finding{Extent: All, Own: true, Message: "fetch: nothing listens at 10.0.0.1:1: start the server, or fix its address"}},
		"a part that is not there":   {everything{err: inspect.Partial{Err: errors.New("1 of 2: open /x: no such file or directory")}}, Finding{Extent: Some, Own: true, Message: "1 of 2: /x does not exist: create it, or fix the path"}},
		"a socket":                   {everything{engine: inspect.Engine{Error: "dial unix /x: connect: no such file or directory", Since: ago(24 * time.Second)}}, Finding{Extent: All, Message: "Docker unreachable for 24 s: there is no socket /x: start its server, mount the socket into the collector's container, or fix the path"}},
		"its own input":              {everything{err: errors.New("no file")}, Finding{Extent: All, Own: true, Message: "no file"}},
		"a part of its own input":    {everything{err: inspect.Partial{Err: errors.New("1 of 2 files")}}, Finding{Extent: Some, Own: true, Message: "1 of 2 files"}},
		"the worst counts":           {everything{engine: gone, targets: []inspect.ScrapeTarget{up, dead}}, Finding{Extent: All, Message: "Docker unreachable for 24 s: no such file; 1 of 2 targets down"}},
		"a target and destinations":  {everything{writer: writer{down("logs", "http://a", time.Hour, 0)}, targets: []inspect.ScrapeTarget{up, dead}}, Finding{Extent: All, Failed: true, Message: "down 1 h 0 min; 1 of 2 targets down"}},
	} {
		if got := Of(c.component, now); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
	if got := Parts(everything{}); !slices.Equal(got, []string{Destinations, Queue, Engine, Targets, Tails, Input}) {
		t.Errorf("parts %q", got)
	}
	if got := Parts(42); got != nil {
		t.Errorf("the parts of a number: %q", got)
	}
}

// counting is a component that counts instead of listing.
type counting struct{ everything }

func (counting) ScrapeTargets() []inspect.ScrapeTarget { panic("listed") }
func (counting) Failing() (failing, all int)           { return 3, 2000 }

func TestWhatCountsIsNotListed(t *testing.T) {
	if got := targets(counting{}); got != (Finding{Extent: Some, Message: "3 of 2,000 targets down"}) {
		t.Errorf("%+v", got)
	}
	if got := tails(counting{}); got != (Finding{Extent: Some, Message: "3 of 2,000 log tails failing"}) {
		t.Errorf("%+v", got)
	}
}
