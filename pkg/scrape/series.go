package scrape

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/cause"
	"collector/pkg/httpclient"
)

// The errors of a scrape that are counted separately.
var (
	errStatus        = httpclient.ErrStatus
	errRedirect      = httpclient.ErrRedirect
	errTargetLimit   = errors.New("target_limit is exceeded")
	errBodySizeLimit = errors.New("the page is larger than body_size_limit allows")
	errSampleLimit   = errors.New("the page has more samples than sample_limit allows")
	errBucketLimit   = errors.New("a native histogram has more buckets than native_histogram_bucket_limit allows")
	errLabelLimit    = errors.New("a label limit is exceeded")
)

// rules turn the labels of a page into those of a series.
type rules struct {
	honorLabels   bool
	names         model.ValidationScheme
	labelLimit    int
	nameLengthMax int
	valLengthMax  int
	builder       *labels.Builder // reused
}

// series gives the exposed labels those of the target, and checks the result.
func (r *rules) series(exposed, target labels.Labels) (labels.Labels, error) {
	lset := r.merge(exposed, target)
	if !lset.Has(labels.MetricName) {
		return lset, errors.New("a series has no name")
	}
	if err := r.checkLimits(lset); err != nil {
		return lset, err
	}
	if !lset.IsValid(r.names) {
		return lset, r.invalid(lset)
	}
	if name, twice := lset.HasDuplicateLabelNames(); twice {
		return lset, fmt.Errorf("the series %.200q has the label %.200q more than once", lset.Get(labels.MetricName), name)
	}
	return lset, nil
}

// invalid says what is wrong with a series. A page may hold names and values of any
// length, so that the error quotes only the beginning.
func (r *rules) invalid(lset labels.Labels) error {
	metric := lset.Get(labels.MetricName)
	if !r.names.IsValidMetricName(metric) {
		return fmt.Errorf("invalid metric name %.200q", metric)
	}
	return lset.Validate(func(l labels.Label) error {
		if !r.names.IsValidLabelName(l.Name) {
			return fmt.Errorf("the series %.200q has the invalid label name %.200q", metric, l.Name)
		}
		if !utf8.ValidString(l.Value) {
			return fmt.Errorf("the label %.200q of the series %.200q is not UTF-8: %.200q", l.Name, metric, l.Value)
		}
		return nil
	})
}

// maxText bounds the text of an error or a log message that may quote a page or a
// target, in bytes.
const maxText = 1 << 10

// beginning is text, or a copy of its beginning, so that a long one is freed.
func beginning(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

func (r *rules) merge(exposed, target labels.Labels) labels.Labels {
	b := r.builder
	b.Reset(exposed)
	var conflicts []labels.Label
	target.Range(func(l labels.Label) {
		if r.honorLabels {
			if !exposed.Has(l.Name) {
				b.Set(l.Name, l.Value)
			}
			return
		}
		if v := exposed.Get(l.Name); v != "" {
			conflicts = append(conflicts, labels.Label{Name: l.Name, Value: v})
		}
		b.Set(l.Name, l.Value)
	})
	// Shorter names first, so that the outcome does not depend on the order
	// of labels where exported_ is itself taken.
	slices.SortStableFunc(conflicts, func(x, y labels.Label) int { return len(x.Name) - len(y.Name) })
	for _, c := range conflicts {
		name := model.ExportedLabelPrefix + c.Name
		for b.Get(name) != "" {
			name = model.ExportedLabelPrefix + name
		}
		b.Set(name, c.Value)
	}
	return b.Labels()
}

func (r *rules) checkLimits(lset labels.Labels) error {
	name := lset.Get(labels.MetricName)
	if n := lset.Len(); r.labelLimit > 0 && n > r.labelLimit {
		return exceeds("label_limit", r.labelLimit, fmt.Errorf("%w: %.50s has %d labels, label_limit is %d", errLabelLimit, name, n, r.labelLimit))
	}
	if r.nameLengthMax == 0 && r.valLengthMax == 0 {
		return nil
	}
	return lset.Validate(func(l labels.Label) error {
		if n := len(l.Name); r.nameLengthMax > 0 && n > r.nameLengthMax {
			return exceeds("label_name_length_limit", r.nameLengthMax,
				fmt.Errorf("%w: the label name %.50s of %.50s has %d bytes, label_name_length_limit is %d", errLabelLimit, l.Name, name, n, r.nameLengthMax))
		}
		if n := len(l.Value); r.valLengthMax > 0 && n > r.valLengthMax {
			return exceeds("label_value_length_limit", r.valLengthMax,
				fmt.Errorf("%w: the label %.50s=%.50q of %.50s has %d bytes, label_value_length_limit is %d", errLabelLimit, l.Name, l.Value, name, n, r.valLengthMax))
		}
		return nil
	})
}

func exceeds(argument string, most int, err error) error {
	return &cause.Limit{Err: err, Argument: argument, Most: int64(most)}
}

// canonical writes the le of a histogram's buckets and the quantile of a
// summary as OpenMetrics does, so that one series has one spelling whatever
// the format of the page.
func canonical(lset labels.Labels, family familyKind) labels.Labels {
	name := ""
	switch family {
	case familyHistogram:
		name = model.BucketLabel
	case familySummary:
		name = model.QuantileLabel
	default:
		return lset
	}
	v := lset.Get(name)
	if v == "" {
		return lset
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return lset
	}
	if s := openMetricsFloat(f); s != v {
		return labels.NewBuilder(lset).Set(name, s).Labels()
	}
	return lset
}

func openMetricsFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	// Infinities and NaN need no fraction.
	if f == 0 {
		return "0.0"
	}
	if strings.ContainsAny(s, "e.IN") {
		return s
	}
	return s + ".0"
}
