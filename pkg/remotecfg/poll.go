package remotecfg

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"connectrpc.com/connect"
	collectorv1 "github.com/grafana/alloy-remote-config/api/gen/proto/go/collector/v1"
)

const (
	// answerTimeout bounds a request for the configuration: after that time, a start uses
	// what is on disk.
	answerTimeout = 10 * time.Second
	// registerTimeout bounds a registration, without which there may be a
	// configuration all the same.
	registerTimeout = 3 * time.Second
	// maxAnswer is the most that an answer may have, in bytes.
	maxAnswer = 16 << 20
)

// progress is Run's state.
type progress struct {
	id         string
	registered bool
	unlisted   string // why the server did not register the collector; "" if it did
	hash       string // the server's own, of what it gave last
	received   *configText
	loaded     *configText // what is in force; nil before the first
	triedDisk  bool
	again      bool // what is in force has to be loaded again though it is the same

	status          *collectorv1.RemoteConfigStatus
	sent            *collectorv1.RemoteConfigStatus // nil: none, or it may not have arrived
	effective, told *configText                     // what is in force, and what the server knows of that
}

// configText is a configuration, with the hash that Alloy gives it.
type configText struct {
	text []byte
	hash string
}

func textOf(text []byte) *configText {
	h := fnv.New32()
	h.Write(text)
	return &configText{text, fmt.Sprintf("%x", h.Sum(nil))}
}

func (t *configText) is(other *configText) bool {
	return t != nil && other != nil && string(t.text) == string(other.text)
}

// begin is the state of a new Run.
func (r *Remote) begin() {
	r.progress = progress{id: r.config.ID, status: &collectorv1.RemoteConfigStatus{}}
	if r.id == "" {
		r.id = r.installation()
	}
	r.show(func(s *Status) { s.ID = r.id })
}

// poll asks the server once and puts its answer in force. With again, what is in
// force is loaded again though it is the same: its environment may have changed. If the
// server does not answer, the next poll does so.
func (r *Remote) poll(ctx context.Context, again bool) {
	defer r.http.CloseIdleConnections() // the next poll is far away
	r.again = r.again || again
	answer, err := r.ask(ctx)
	if ctx.Err() != nil {
		return
	}
	answered := err == nil
	if answered {
		err = r.take(ctx, answer)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.metrics.failures.Inc()
		r.metrics.lastOK.Set(0)
		r.setStatus(collectorv1.RemoteConfigStatuses_RemoteConfigStatuses_FAILED, reason(err))
		r.fromDisk(ctx)
	}
	r.fail(err)
	if answered {
		r.report(ctx)
	}
}

// ask registers the collector, if that is still to be done, and asks for the
// configuration.
func (r *Remote) ask(ctx context.Context) (*collectorv1.GetConfigResponse, error) {
	if !r.registered {
		r.register(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r.metrics.attempts.Inc()
	return r.getConfig(ctx)
}

// register registers the collector with the server. A server that rejects that may still
// provide a configuration, so a failure is only logged.
func (r *Remote) register(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	_, err := r.client.RegisterCollector(bounded, connect.NewRequest(&collectorv1.RegisterCollectorRequest{
		Id: r.id, LocalAttributes: r.attributes, Name: r.config.Name,
	}))
	if ctx.Err() != nil {
		return
	}
	// A server that keeps no list needs no registration.
	r.registered = err == nil || connect.CodeOf(err) == connect.CodeUnimplemented
	before := r.unlisted
	r.unlisted = ""
	if !r.registered {
		r.unlisted = reason(err)
	}
	switch {
	case r.unlisted == before:
	case r.unlisted != "":
		r.o.Logger.Warn("the server does not register the collector; the configuration is fetched anyway", "id", r.id, "err", r.unlisted)
	default:
		r.o.Logger.Info("the server has registered the collector", "id", r.id)
	}
}

// getConfig asks for the configuration, and reports changes of the state of the one in
// force.
func (r *Remote) getConfig(ctx context.Context) (*collectorv1.GetConfigResponse, error) {
	request := &collectorv1.GetConfigRequest{Id: r.id, LocalAttributes: r.attributes, Hash: r.hash}
	if r.statusIsNew() {
		request.RemoteConfigStatus = &collectorv1.RemoteConfigStatus{Status: r.status.Status, ErrorMessage: r.status.ErrorMessage}
	}
	if r.effectiveIsNew() {
		request.EffectiveConfig = &collectorv1.EffectiveConfig{ConfigMap: &collectorv1.AgentConfigMap{
			ConfigMap: map[string]*collectorv1.AgentConfigFile{"": {Body: r.effective.text, ContentType: "text/plain"}},
		}}
	}
	start := time.Now()
	answer, err := r.client.GetConfig(ctx, connect.NewRequest(request))
	if err != nil {
		r.sent, r.told = nil, nil
		if connect.CodeOf(err) == connect.CodeNotFound {
			r.registered = false // the server may have forgotten it
		}
		return nil, fmt.Errorf("fetch the configuration: %w", err)
	}
	r.metrics.duration.Observe(time.Since(start).Seconds())
	r.sent, r.told = &collectorv1.RemoteConfigStatus{Status: r.status.Status, ErrorMessage: r.status.ErrorMessage}, r.effective
	return answer.Msg, nil
}

func (r *Remote) statusIsNew() bool {
	return r.sent == nil || r.sent.Status != r.status.Status || r.sent.ErrorMessage != r.status.ErrorMessage
}

func (r *Remote) effectiveIsNew() bool { return r.effective != nil && !r.effective.is(r.told) }

func (r *Remote) setStatus(s collectorv1.RemoteConfigStatuses, message string) {
	r.status = &collectorv1.RemoteConfigStatus{Status: s, ErrorMessage: message}
}

// take puts an answer in force, unless it already is, and returns why that cannot be
// done. What could not be loaded is retried with each poll, as the reason may have
// disappeared.
func (r *Remote) take(ctx context.Context, answer *collectorv1.GetConfigResponse) error {
	switch {
	case answer.NotModified && r.received == nil:
		return errors.New("fetch the configuration: the server says that it has not changed, but never sent one")
	case answer.NotModified:
		r.metrics.notModified.Set(1)
	default:
		r.metrics.notModified.Set(0)
		r.metrics.lastSuccess.SetToCurrentTime()
		if answer.Hash != "" {
			r.hash = answer.Hash
		}
		r.received = textOf([]byte(answer.Content))
		only(r.metrics.receivedHash, r.received.hash)
	}
	r.show(func(s *Status) { s.Received, s.Answered = r.received.hash, time.Now() })
	if !r.received.is(r.loaded) || r.again {
		if err := r.apply(ctx); err != nil {
			return err
		}
	}
	r.metrics.lastOK.Set(1)
	r.setStatus(collectorv1.RemoteConfigStatuses_RemoteConfigStatuses_APPLIED, "")
	return nil
}

// apply loads what was received, and then keeps it on disk. If the server has nothing for
// the collector, nothing changes: what was in force before a start is used again.
func (r *Remote) apply(ctx context.Context) error {
	if len(r.received.text) == 0 {
		r.fromDisk(ctx)
		return nil
	}
	r.setStatus(collectorv1.RemoteConfigStatuses_RemoteConfigStatuses_APPLYING, "")
	if err := r.put(ctx, r.received.text); err != nil {
		return fmt.Errorf("load the configuration %s of the server: %w", r.received.hash, err)
	}
	r.again = false
	if !r.received.is(r.loaded) {
		r.o.Logger.Info("now running a configuration from the server", "hash", r.received.hash)
	}
	r.inForce(r.received, "server")
	if err := r.keep(r.received.text); err != nil {
		r.o.Logger.Warn("cannot save the configuration to disk; it is not available after a restart without its server", "path", r.o.Dir, "err", err)
	}
	return nil
}

func (r *Remote) inForce(t *configText, from string) {
	r.loaded, r.effective = t, t
	only(r.metrics.hash, t.hash)
	r.show(func(s *Status) { s.InForce = &Version{Hash: t.hash, From: from, Since: time.Now()} })
}

// fromDisk loads what was in force last, if nothing is since the start. Without that,
// and if nothing runs from before a reload, it loads nothing, so that the queues that
// are left without a writer are named.
func (r *Remote) fromDisk(ctx context.Context) {
	if r.loaded != nil || r.triedDisk {
		return
	}
	r.triedDisk = true
	text, err := r.kept()
	if err == nil {
		err = r.put(ctx, text)
	}
	switch {
	case err == nil:
		t := textOf(text)
		r.o.Logger.Warn("using the last working configuration", "hash", t.hash)
		r.inForce(t, "disk")
		return
	case ctx.Err() != nil:
		return
	case errors.Is(err, errNoneKept):
		r.o.Logger.Warn("no configuration of this server is on disk; waiting for the server to provide one")
	default:
		r.o.Logger.Error("the configuration on disk cannot be used; waiting for the server to provide one", "path", r.o.Dir, "err", err)
	}
	if r.runs() {
		return // of a block before this one
	}
	if err := r.put(ctx, nil); err != nil && ctx.Err() == nil {
		r.o.Logger.Error("cannot look for queues that the server's configuration left behind", "err", err)
	}
}

// report tells the server at once whether its configuration could be loaded. The answer
// is ignored: the next poll gets the same.
func (r *Remote) report(ctx context.Context) {
	if !r.statusIsNew() && !r.effectiveIsNew() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, _ = r.getConfig(ctx) // an error recurs with the next poll
}
