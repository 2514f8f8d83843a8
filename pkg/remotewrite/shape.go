package remotewrite

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/discovery"
	"collector/pkg/queue"
)

// shape is the form in which an endpoint wants samples. When all endpoints want the same,
// blocks are made in that shape; otherwise they hold what any endpoint wants, and each
// endpoint shapes them when it sends.
type shape struct {
	rules      *discovery.Rules
	names      *discovery.LabelNames // of labels that rules make
	exemplars  bool
	histograms bool
	metadata   MetadataConfig
}

func (s shape) equal(o shape) bool {
	return slices.EqualFunc(s.rules.Source(), o.rules.Source(), func(a, b discovery.Rule) bool {
		return slices.Equal(a.SourceLabels, b.SourceLabels) && a.Separator == b.Separator && a.Regex == b.Regex &&
			a.Modulus == b.Modulus && a.TargetLabel == b.TargetLabel && a.Replacement == b.Replacement && a.Action == b.Action
	}) && s.exemplars == o.exemplars && s.histograms == o.histograms && s.metadata == o.metadata
}

// common is the shape of the blocks for endpoints of these shapes.
func common(shapes []shape) shape {
	if len(shapes) == 0 {
		return shape{}
	}
	all := shapes[0]
	for _, s := range shapes[1:] {
		if !s.equal(all) {
			return union(shapes)
		}
	}
	return all
}

// relabeled is what the rules make of the labels in b; none if they drop them.
func (s *shape) relabeled(b *labels.Builder) labels.Labels { return s.rules.Series(b, s.names) }

func union(shapes []shape) shape {
	var all shape
	for _, s := range shapes {
		all.exemplars = all.exemplars || s.exemplars
		all.histograms = all.histograms || s.histograms
		if !s.metadata.Send {
			continue
		}
		if !all.metadata.Send || s.metadata.SendInterval < all.metadata.SendInterval {
			all.metadata.SendInterval = s.metadata.SendInterval
		}
		all.metadata.MaxSamplesPerSend = max(all.metadata.MaxSamplesPerSend, s.metadata.MaxSamplesPerSend)
		all.metadata.Send = true
	}
	return all
}

// shaper gives blocks the shape of one endpoint.
type shaper struct {
	shape
	always   bool          // whether blocks come in another shape
	maxAge   time.Duration // older samples are omitted; 0: none
	metadata *metadataLimiter
}

// needed reports whether blocks have to be shaped before they are sent.
func (s *shaper) needed(blocks []queue.Block, now time.Time) bool {
	if s.always {
		return true
	}
	return s.maxAge > 0 && slices.ContainsFunc(blocks, func(b queue.Block) bool {
		return b.MinTime != 0 && b.MinTime < b.Clock(now)-int64(s.maxAge)
	})
}

// apply adds to dst what the endpoint wants of raw, a WriteRequest. clock is what
// the clock that stamped its samples shows, in nanoseconds.
func (s *shaper) apply(dst *batch, raw []byte, now time.Time, clock int64) error {
	oldest := int64(-1 << 62)
	if s.maxAge > 0 {
		oldest = (clock - int64(s.maxAge)) / int64(time.Millisecond)
	}
	families := 0
	for len(raw) > 0 {
		e, tail, err := nextEntry(raw)
		if err != nil {
			return err
		}
		raw = tail
		switch {
		case e.metadata != nil:
			if s.always && !s.wantsFamily(dst, &e, &families, now) {
				continue
			}
			dst.addField(&e)
		case e.maxTime < oldest:
			dst.dropped.tooOld += e.items()
		case !s.always:
			dst.addField(&e)
		case e.histograms > 0 && !s.histograms:
			dst.dropped.histograms += e.items()
		case e.exemplars > 0 && !s.exemplars:
		default:
			if err := s.relabel(dst, &e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *shaper) wantsFamily(dst *batch, e *entry, families *int, now time.Time) bool {
	if !s.shape.metadata.Send || *families >= s.shape.metadata.MaxSamplesPerSend {
		return false
	}
	family := s.metadata.hashBytes(e.metadata)
	if !s.metadata.take(family, now) {
		return false
	}
	*families++
	dst.families = append(dst.families, family)
	return true
}

func (s *shaper) relabel(dst *batch, e *entry) error {
	if s.rules.Len() == 0 {
		dst.addField(e)
		return nil
	}
	lset, err := decodeLabels(e.labels)
	if err != nil {
		return err
	}
	relabeled := s.relabeled(labels.NewBuilder(lset))
	if relabeled.IsEmpty() {
		dst.dropped.relabeled += e.items()
		return nil
	}
	dst.message = appendLabels(dst.message[:0], relabeled)
	dst.count(e)
	dst.raw = append(dst.raw, tagTimeseries)
	dst.raw = protowire.AppendVarint(dst.raw, uint64(len(dst.message)+len(e.rest)))
	dst.raw = append(dst.raw, dst.message...)
	dst.raw = append(dst.raw, e.rest...)
	return nil
}

// decodeLabels reads the fields that appendLabels writes.
func decodeLabels(encoded []byte) (labels.Labels, error) {
	var builder labels.ScratchBuilder
	for len(encoded) > 0 {
		message, n := protowire.ConsumeBytes(encoded[1:])
		if n < 0 || len(message) == 0 || message[0] != tagLabelName {
			return labels.EmptyLabels(), errMalformed
		}
		encoded = encoded[1+n:]
		name, n := protowire.ConsumeString(message[1:])
		if n < 0 || len(message) < 2+n || message[1+n] != tagLabelValue {
			return labels.EmptyLabels(), errMalformed
		}
		value, n := protowire.ConsumeString(message[2+n:])
		if n < 0 {
			return labels.EmptyLabels(), errMalformed
		}
		builder.Add(name, value)
	}
	return builder.Labels(), nil
}
