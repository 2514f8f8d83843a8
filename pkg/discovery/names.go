package discovery

import (
	"log/slog"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// maxWarnedNames bounds the names of which a LabelNames remembers that it has
// warned.
const maxWarnedNames = 100

// LabelNames makes the names of labels valid, for a rule may make a name of any text:
// labelmap turns __meta_docker_container_label_5g into 5g. It warns once for each name.
// It is safe for concurrent use; nil is the legacy scheme, which is Loki's, without
// warnings.
type LabelNames struct {
	scheme model.ValidationScheme
	logger *slog.Logger

	mu     sync.Mutex
	warned map[string]bool // guarded by mu
}

// NewLabelNames makes names valid in scheme. A nil logger discards.
func NewLabelNames(scheme model.ValidationScheme, logger *slog.Logger) *LabelNames {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &LabelNames{scheme: scheme, logger: logger, warned: make(map[string]bool)}
}

// Valid returns lset with valid names. A label whose name would become that of
// another is omitted.
func (n *LabelNames) Valid(lset labels.Labels) labels.Labels {
	scheme := model.LegacyValidation
	if n != nil {
		scheme = n.scheme
	}
	if validNames(lset, scheme) {
		return lset
	}
	b := labels.NewBuilder(lset)
	lset.Range(func(l labels.Label) {
		if scheme.IsValidLabelName(l.Name) {
			return
		}
		b.Del(l.Name)
		name := validLabelName(l.Name, scheme)
		if b.Get(name) != "" {
			n.warn("label dropped: its name is not valid, and another label has the corrected name", l.Name, name)
			return
		}
		b.Set(name, l.Value)
		n.warn("label name is not valid and was changed", l.Name, name)
	})
	return b.Labels()
}

func validNames(lset labels.Labels, scheme model.ValidationScheme) bool {
	valid := true
	lset.Range(func(l labels.Label) { valid = valid && scheme.IsValidLabelName(l.Name) })
	return valid
}

func (n *LabelNames) warn(message, label, name string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	known := n.warned[label] || len(n.warned) >= maxWarnedNames
	if !known {
		n.warned[label] = true
	}
	n.mu.Unlock()
	if !known {
		n.logger.Warn(message, "label", label, "valid_name", name)
	}
}

// validLabelName is the name that resembles one which is not valid in scheme: as
// Prometheus has it for the labels of what it discovers, with "_" for each
// character that is not allowed, and before a digit.
func validLabelName(name string, scheme model.ValidationScheme) string {
	if scheme == model.UTF8Validation {
		if name = strings.ToValidUTF8(name, string(utf8.RuneError)); name == "" {
			return "_"
		}
		return name
	}
	valid := sanitize(name)
	if valid == "" || valid[0] >= '0' && valid[0] <= '9' {
		return "_" + valid
	}
	if strings.HasPrefix(valid, model.ReservedLabelPrefix) {
		// The name must not turn into one of a label that is never sent.
		return "_" + strings.TrimLeft(valid, "_")
	}
	return valid
}
