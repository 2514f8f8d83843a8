// Package secretfilter is loki.secretfilter: it replaces secrets in log lines.
//
// A line is first searched once for the texts that secrets contain, such as "ghp_"; only
// rules that can match are tried.
package secretfilter

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

const (
	nameVariable, hashVariable = "$SECRET_NAME", "$SECRET_HASH"
	defaultRedaction           = "<REDACTED-SECRET:" + nameVariable + ">"
	// shortestShown is the minimum length of a secret of which partial_mask shows a part.
	shortestShown = 6
)

// Config is the configuration of loki.secretfilter.
type Config struct {
	ForwardTo      []pipeline.LogsSink `alloy:"forward_to,attr"`
	GitleaksConfig string              `alloy:"gitleaks_config,attr,optional,file"`
	Types          []string            `alloy:"types,attr,optional"`
	RedactWith     string              `alloy:"redact_with,attr,optional"`
	IncludeGeneric bool                `alloy:"include_generic,attr,optional"`
	AllowList      []string            `alloy:"allowlist,attr,optional"`
	PartialMask    uint                `alloy:"partial_mask,attr,optional"`
	OriginLabel    string              `alloy:"origin_label,attr,optional"`
	EnableEntropy  bool                `alloy:"enable_entropy,attr,optional"`
}

// Filter is the component loki.secretfilter. It has no queue: an error of its
// receivers is its caller's.
type Filter struct {
	config  Config
	options component.Options
	rules   *rules
	metrics *metrics
	work    sync.Pool // of *work
	samples inspect.LogSamples
	quiet   throttle.Log
}

//go:embed loki.secretfilter.md
var page string

// Definition is the component loki.secretfilter.
func Definition() component.Definition {
	return component.Define("loki.secretfilter", New, component.Doc{
		Page: page, Exports: []component.Export{{Name: "receiver", Type: "LogsReceiver"}},
	})
}

// New reads the rules.
func New(c Config, o component.Options) (*Filter, error) {
	o = o.WithDefaults()
	f := &Filter{config: c, options: o}
	var err error
	f.rules, err = newRules(&c, func(rule, why string) { o.Logger.Warn("rule not used", "rule", rule, "why", why) })
	if err != nil {
		return nil, err
	}
	f.work.New = func() any { return &work{marked: make([]bool, len(f.rules.list))} }
	f.metrics = newMetrics(o.Metrics, c.OriginLabel)
	return f, nil
}

// Exports returns the receiver.
func (f *Filter) Exports() map[string]any { return map[string]any{"receiver": pipeline.LogsSink(f)} }

// Run blocks until ctx ends, and does nothing: a batch is forwarded by its writer, also
// after the end.
func (f *Filter) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// work is what one call needs, and what it has to count.
type work struct {
	marked []bool    // by rule: it may match the line
	found  *[]string // takes the secrets of a trace; nil for others
	tally
}

// tally is what is counted when a call has succeeded.
type tally struct {
	redacted, lowEntropy []string // names of rules
	allowed              []string // sources
	origins              []string
	took                 []time.Duration
}

func (t *tally) reset() { *t = tally{took: t.took[:0]} }

// WriteLogs implements pipeline.LogsSink. When it fails nothing is counted: the caller
// may retry with the same entries.
func (f *Filter) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	f.samples.Offer(logs, time.Now())
	w := f.work.Get().(*work)
	defer func() {
		w.reset()
		f.work.Put(w)
	}()
	out, copied := logs, false
	for i := range logs.Streams {
		entries := logs.Streams[i].Entries
		changed := false
		for j := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			begun := time.Now()
			line := f.redact(w, logs.Streams[i].Labels, entries[j].Line)
			w.took = append(w.took, time.Since(begun))
			if line == entries[j].Line {
				continue
			}
			if !copied {
				out.Streams, copied = slices.Clone(logs.Streams), true
			}
			if !changed {
				out.Streams[i].Entries, changed = slices.Clone(entries), true
			}
			out.Streams[i].Entries[j].Line = line
		}
	}
	if err := f.forward(ctx, out); err != nil {
		return err
	}
	f.metrics.add(&w.tally)
	return nil
}

// redact is a line without its secrets.
func (f *Filter) redact(w *work, stream labels.Labels, line string) string {
	r := f.rules
	if !r.mark(w.marked, line) {
		return line
	}
	for i := range w.marked {
		if !w.marked[i] {
			continue
		}
		w.marked[i] = false
		before := line
		line = f.apply(w, &r.list[i], stream, line)
		if line != before {
			r.markAfter(w.marked, line, i)
		}
	}
	return line
}

// apply is a line without what a rule finds in it, wherever that is. All is replaced at
// once: a line may have as many secrets as there is room for.
func (f *Filter) apply(w *work, of *rule, stream labels.Labels, line string) string {
	var secrets []string
	for _, match := range of.regex.FindAllStringSubmatchIndex(line, -1) {
		secret := of.secret(line, match)
		if secret == "" || !f.isSecret(w, of, secret) {
			continue
		}
		secrets = append(secrets, secret)
		w.redacted = append(w.redacted, of.name)
		if f.config.OriginLabel != "" && stream.Has(f.config.OriginLabel) {
			w.origins = append(w.origins, stream.Get(f.config.OriginLabel))
		}
	}
	slices.Sort(secrets)
	secrets = slices.Compact(secrets)
	if w.found != nil {
		*w.found = append(*w.found, secrets...)
	}
	switch len(secrets) {
	case 0:
		return line
	case 1:
		return strings.ReplaceAll(line, secrets[0], f.redaction(of.name, secrets[0]))
	}
	pairs := make([]string, 0, 2*len(secrets))
	for _, secret := range slices.Backward(secrets) { // of two with the same beginning, the longer one comes first
		pairs = append(pairs, secret, f.redaction(of.name, secret))
	}
	return strings.NewReplacer(pairs...).Replace(line)
}

// markAfter sets those rules after one that can match the changed line.
func (r *rules) markAfter(set []bool, line string, rule int) {
	r.mark(set, line)
	clear(set[:rule+1])
}

// isSecret reports whether what a rule found is a secret.
func (f *Filter) isSecret(w *work, of *rule, found string) bool {
	if a := f.rules.allows(of, found); a != nil {
		w.allowed = append(w.allowed, a.source)
		return false
	}
	if f.config.EnableEntropy && of.entropy > 0 && entropy(found) < of.entropy {
		w.lowEntropy = append(w.lowEntropy, of.name)
		return false
	}
	return true
}

// redaction replaces a secret.
func (f *Filter) redaction(rule, secret string) string {
	with := f.config.RedactWith
	if with == "" {
		with = defaultRedaction
	}
	with = strings.ReplaceAll(with, nameVariable, rule)
	if strings.Contains(with, hashVariable) {
		sum := sha1.Sum([]byte(secret))
		with = strings.ReplaceAll(with, hashVariable, hex.EncodeToString(sum[:]))
	}
	if shown := []rune(secret); f.config.PartialMask > 0 && len(shown) >= shortestShown {
		with = string(shown[:min(f.config.PartialMask, uint(len(shown)/2))]) + with
	}
	return with
}

// entropy is Shannon's, in bits for each byte, as Gitleaks counts it: of characters,
// by the number of bytes.
func entropy(s string) (bits float64) {
	counts := make(map[rune]int)
	for _, r := range s {
		counts[r]++
	}
	for _, n := range counts {
		p := float64(n) / float64(len(s))
		bits -= p * math.Log2(p)
	}
	return bits
}

// forward gives entries to all receivers, see pipeline.Pass.
func (f *Filter) forward(ctx context.Context, logs pipeline.Logs) error {
	return pipeline.Pass(ctx, f.config.ForwardTo,
		func(ctx context.Context, to pipeline.LogsSink) error { return to.WriteLogs(ctx, logs) },
		func(sink int, err error) {
			n := logs.Entries()
			f.metrics.dropped.Add(float64(n))
			f.quiet.Warn(f.options.Logger, strconv.Itoa(sink), "a receiver did not accept log entries that another one accepted", "forward_to", sink+1, "entries", n, "err", err)
		})
}

// Status is a snapshot of loki.secretfilter.
type Status struct {
	Rules    int    `json:"rules"`
	Redacted uint64 `json:"redacted"` // secrets
}

// Status returns a snapshot for the debug UI.
func (f *Filter) Status() any { return Status{len(f.rules.list), f.metrics.count.Load()} }
