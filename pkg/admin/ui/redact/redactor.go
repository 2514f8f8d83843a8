package redact

import (
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/inspect"
)

// Redactor makes redactions of all current secrets, and caches the last one.
type Redactor struct {
	// relabelings returns everything that rules are applied to.
	relabelings func() []inspect.Relabeling

	mu   sync.Mutex           // guards what follows
	of   map[string]secretive // by the component whose inputs they are
	last *Redaction
}

// New makes a Redactor of the secrets in the inputs of relabelings.
func New(relabelings func() []inspect.Relabeling) *Redactor {
	return &Redactor{relabelings: relabelings}
}

// secretive is a list of inputs, which is replaced rather than modified, and its
// secrets.
type secretive struct {
	inputs  []labels.Labels
	secrets map[string]bool
}

func (s secretive) isOf(inputs []labels.Labels) bool {
	return s.secrets != nil && len(s.inputs) == len(inputs) && (len(inputs) == 0 || &s.inputs[0] == &inputs[0])
}

// Current hides the secrets in everything that rules are applied to now, and so
// their copies too, however many rules copied them.
func (r *Redactor) Current() *Redaction {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, changed := map[string]secretive{}, false
	for _, c := range r.relabelings() {
		inputs := c.Inputs()
		known := r.of[c.Component]
		if !known.isOf(inputs) {
			known, changed = secretive{inputs, map[string]bool{}}, true
			for _, l := range inputs {
				SecretsIn(l, known.secrets)
			}
		}
		now[c.Component] = known
	}
	if !changed && len(now) == len(r.of) && r.last != nil {
		return r.last
	}
	all := map[string]bool{}
	for _, c := range now {
		for s := range c.secrets {
			all[s] = true
		}
	}
	r.of, r.last = now, newRedaction(all)
	return r.last
}
