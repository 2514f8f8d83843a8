package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"collector/pkg/admin/ui/page"
	"collector/pkg/live"
)

const (
	// maxWatchers is the maximum number of live views: each costs the components a
	// little.
	maxWatchers = 20
	// heartbeat is the longest silence on a stream. Proxies close connections that are
	// silent for longer, and it detects clients that have disconnected.
	heartbeat = 10 * time.Second
	// tellEvery is the minimum interval between two reports of skipped events.
	tellEvery = time.Second
	// writeTime is how long a client may take to read what was sent.
	writeTime = 20 * time.Second
)

// liveState reports how many events a watcher skipped because of its limits.
type liveState struct {
	Skipped uint64 `json:"skipped"`
}

// stream is the form in which events are sent.
type stream struct {
	contentType string
	// event and state write one of either.
	event func(*bytes.Buffer, live.Event) error
	state func(*bytes.Buffer, liveState) error
}

// eventStream is for a browser's EventSource.
func eventStream() stream {
	part := func(b *bytes.Buffer, name string, v any) error {
		text, err := json.Marshal(v)
		fmt.Fprintf(b, "event: %s\ndata: %s\n\n", name, text)
		return err
	}
	return stream{"text/event-stream",
		func(b *bytes.Buffer, ev live.Event) error { return part(b, "item", ev) },
		func(b *bytes.Buffer, s liveState) error { return part(b, "state", s) },
	}
}

// lineStream is one JSON object in each line.
func lineStream() stream {
	return stream{"application/x-ndjson",
		func(b *bytes.Buffer, ev live.Event) error { return json.NewEncoder(b).Encode(ev) },
		func(b *bytes.Buffer, s liveState) error { return json.NewEncoder(b).Encode(s) },
	}
}

func (p *Page) liveEvents(w http.ResponseWriter, r *http.Request) error {
	p.watchLive(w, r, eventStream())
	return nil
}

func (p *Page) liveEventsAPI(w http.ResponseWriter, r *http.Request) error {
	form := lineStream()
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		form = eventStream()
	}
	p.watchLive(w, r, form)
	return nil
}

// watchLive sends events until the client disconnects. Nothing is kept.
func (p *Page) watchLive(w http.ResponseWriter, r *http.Request, form stream) {
	filter, ok := parseLive(r.URL.Query()).filter()
	if !ok {
		page.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": "unknown signal: use metrics, logs, traces or profiles"})
		return
	}
	if p.Hub == nil {
		page.WriteJSON(w, http.StatusNotFound, map[string]string{"error": "live data is not available in this process"})
		return
	}
	defer p.watchers.Add(-1)
	if p.watchers.Add(1) > maxWatchers {
		w.Header().Set("Retry-After", "10")
		page.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"error": fmt.Sprintf("%d live views are open, which is the limit: close one", maxWatchers)})
		return
	}
	watcher := p.Hub.Watch(filter)
	defer watcher.Close()
	header := w.Header()
	header.Set("Content-Type", form.contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // else nginx buffers
	w.WriteHeader(http.StatusOK)
	sender := &liveSender{to: w, control: http.NewResponseController(w), form: form, watcher: watcher, silence: heartbeat}
	sender.run(r.Context().Done(), p.Closing)
}

// liveSender sends to one client.
type liveSender struct {
	to      http.ResponseWriter
	control *http.ResponseController
	form    stream
	watcher *live.Watcher
	silence time.Duration

	buffer bytes.Buffer
	told   uint64 // of those skipped
	last   time.Time
}

func (s *liveSender) run(gone, closing <-chan struct{}) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	err := s.tell() // tells the client that it is connected
	for err == nil {
		select {
		case ev := <-s.watcher.Events():
			err = s.events(ev)
		case <-tick.C:
			if s.watcher.Skipped() != s.told || time.Since(s.last) >= s.silence {
				err = s.tell()
			}
		case <-gone:
			return
		case <-closing:
			return
		}
	}
}

// maxSent is how much is written at once, in bytes.
const maxSent = 256 << 10

// events sends ev and the events waiting behind it.
func (s *liveSender) events(ev live.Event) error {
	for {
		if err := s.form.event(&s.buffer, ev); err != nil {
			return err
		}
		if s.buffer.Len() > maxSent {
			return s.send()
		}
		select {
		case ev = <-s.watcher.Events():
		default:
			return s.send()
		}
	}
}

func (s *liveSender) tell() error {
	s.told = s.watcher.Skipped()
	if err := s.form.state(&s.buffer, liveState{s.told}); err != nil {
		return err
	}
	return s.send()
}

func (s *liveSender) send() error {
	s.last = time.Now()
	_ = s.control.SetWriteDeadline(s.last.Add(writeTime)) // not every server supports it
	_, err := s.to.Write(s.buffer.Bytes())
	s.buffer.Reset()
	if err != nil {
		return err
	}
	return s.control.Flush()
}
