package journal

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/inspect"
	"collector/pkg/logs/source/journal/journalfile"
	"collector/pkg/pipeline"
)

const (
	// fieldPrefix begins the labels that only rules see.
	fieldPrefix   = "__journal_"
	priorityField = "PRIORITY"
	keywordLabel  = fieldPrefix + "priority_keyword"
	// What Alloy's documentation calls the labels of the priority; rules that name
	// them get them, too.
	documentedPriority = fieldPrefix + "_priority"
	documentedKeyword  = fieldPrefix + "_priority_keyword"
	// maxStreams bounds the label sets that are remembered.
	maxStreams = 1024
	// maxKey bounds the fields by which they are remembered.
	maxKey = 1024
	// maxLabelValue bounds a field that becomes a label.
	maxLabelValue = 64 << 10
)

// stream is a set of labels that entries have.
type stream struct {
	labels labels.Labels
	drop   bool // no label is left, or a rule has dropped it
	index  int  // in the batch; -1: none
}

// labeler gives entries their labels.
type labeler struct {
	base   map[string]string
	rules  *discovery.Rules
	names  *discovery.LabelNames
	wanted map[string]bool // labels that the rules name
	all    bool            // the rules may use any others, too

	known   map[string]fieldLabel // by the name of the field
	key     []byte
	streams map[string]*stream // by the fields that the rules look at
	made    map[string]*stream // by what the rules made

	mu     sync.Mutex
	inputs []labels.Labels // what the rules were applied to lately, a ring; guarded by mu
	oldest int             // of inputs; guarded by mu
}

// fieldLabel is the label that rules see of a field.
type fieldLabel struct {
	name   string
	wanted bool
}

func newLabeler(cfg *Config, o component.Options) *labeler {
	base := map[string]string{"job": o.ID}
	maps.Copy(base, cfg.Labels)
	wanted, all := wantedLabels(cfg.RelabelRules)
	return &labeler{
		base: base, rules: cfg.RelabelRules, names: discovery.NewLabelNames(model.LegacyValidation, o.Logger),
		wanted: wanted, all: all, known: make(map[string]fieldLabel), streams: make(map[string]*stream), made: make(map[string]*stream),
	}
}

// wantedLabels are the labels that rules name. all says that they may look at others.
func wantedLabels(rules *discovery.Rules) (out map[string]bool, all bool) {
	out = make(map[string]bool)
	for _, rule := range rules.Source() {
		switch rule.Action {
		case "labelmap", "labeldrop", "labelkeep":
			all = true
		}
		for _, name := range rule.SourceLabels {
			out[name] = true
		}
		out[rule.TargetLabel] = true
	}
	return out, all
}

// stream returns the stream of an entry.
func (l *labeler) stream(fields []journalfile.Field) *stream {
	l.key = l.key[:0]
	for i := range fields {
		if l.of(&fields[i]).wanted {
			l.key = append(append(l.key, fields[i].Name...), '=')
			l.key = append(append(l.key, fields[i].Value...), 0)
		}
	}
	if s := l.streams[string(l.key)]; s != nil {
		return s
	}
	input := l.input(fields)
	s := l.one(l.apply(input))
	if len(l.streams) >= maxStreams {
		clear(l.streams)
	}
	if len(l.key) <= maxKey && !l.all {
		l.streams[string(l.key)] = s
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.inputs) < maxShown {
		l.inputs = append(l.inputs, input)
		return s
	}
	l.inputs[l.oldest] = input
	l.oldest = (l.oldest + 1) % maxShown
	return s
}

// one returns the stream that has the same labels, so that entries of equal labels
// are one stream of a batch.
func (l *labeler) one(s *stream) *stream {
	if s.drop {
		return s
	}
	key := string(s.labels.Bytes(nil))
	if have := l.made[key]; have != nil {
		return have
	}
	if len(l.made) >= maxStreams {
		clear(l.made)
	}
	l.made[key] = s
	return s
}

// of returns the label of a field, and whether the rules may look at it.
func (l *labeler) of(f *journalfile.Field) fieldLabel {
	label, ok := l.known[f.Name]
	if !ok {
		label.name = fieldPrefix + strings.ToLower(f.Name)
		label.wanted = l.all || l.wanted[label.name] ||
			f.Name == priorityField && (l.wanted[keywordLabel] || l.wanted[documentedPriority] || l.wanted[documentedKeyword])
		if len(l.known) >= maxStreams {
			clear(l.known)
		}
		l.known[f.Name] = label
	}
	label.wanted = label.wanted && len(f.Value) <= maxLabelValue
	return label
}

// input is what the rules are applied to. Of a field that occurs several times, the last
// counts, and configured labels take precedence over fields.
func (l *labeler) input(fields []journalfile.Field) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for i := range fields {
		f := &fields[i]
		label := l.of(f)
		if !label.wanted {
			continue
		}
		value := strings.ToValidUTF8(f.Value, "\uFFFD")
		b.Set(label.name, value)
		if f.Name == priorityField {
			b.Set(keywordLabel, keyword(value))
			for name, value := range map[string]string{documentedPriority: value, documentedKeyword: keyword(value)} {
				if l.wanted[name] {
					b.Set(name, value)
				}
			}
		}
	}
	for name, value := range l.base {
		b.Set(name, value)
	}
	return b.Labels()
}

func (l *labeler) apply(input labels.Labels) *stream {
	b := labels.NewBuilder(input)
	keep := l.rules.Apply(b)
	lset := l.names.Valid(pipeline.Public(b.Labels()))
	return &stream{labels: lset, drop: !keep || lset.IsEmpty(), index: -1}
}

// keyword is the name of a priority as syslog has it; of others, themselves.
func keyword(priority string) string {
	names := [...]string{"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"}
	if len(priority) == 1 && priority[0] >= '0' && priority[0] < '0'+byte(len(names)) {
		return names[priority[0]-'0']
	}
	return priority
}

// recent returns the label sets to which the rules were applied lately.
func (l *labeler) recent() []labels.Labels {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.inputs)
}

// Relabeling is part of inspect.Relabeler.
func (s *Source) Relabeling() inspect.Relabeling {
	l := s.labels
	return inspect.Relabeling{
		Inputs: l.recent,
		Dropper: func(input labels.Labels, _ string) (rule int, kept bool) {
			if l.apply(input).drop {
				return l.rules.Dropper(labels.NewBuilder(input)), false
			}
			return -1, true
		},
		Trace: func(input labels.Labels, _ string) (out inspect.Trace) {
			out.Input = input
			out.Steps, _ = l.rules.Trace(labels.NewBuilder(input))
			if s := l.apply(input); !s.drop {
				out.Kept, out.Output = true, s.labels
			}
			return out
		},
	}
}

// maxShown bounds the label sets that the UI lists.
const maxShown = 200
