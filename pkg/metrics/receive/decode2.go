package receive

import (
	"errors"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
	"collector/pkg/protofield"
)

// version2 decodes an io.prometheus.write.v2.Request: fields 4 are the texts to which
// the series in fields 5 refer.
func (d *decoder) version2(message []byte) error {
	err := protofield.Each(message, func(f protofield.Field) error {
		if f.Number != 4 || !f.Bytes {
			return nil
		}
		d.symbols = append(d.symbols, string(f.Content))
		return d.spend(symbolCost + len(f.Content))
	})
	if err != nil {
		return err
	}
	if len(d.symbols) == 0 || d.symbols[0] != "" {
		return errors.New("the first symbol is not empty")
	}
	n := 0
	return protofield.Each(message, func(f protofield.Field) error {
		if f.Number != 5 || !f.Bytes {
			return nil
		}
		n++
		return inSeries(n, d.series2(f.Content))
	})
}

// series2 decodes a TimeSeries: references to labels, samples, histograms, exemplars
// and metadata.
func (d *decoder) series2(message []byte) error {
	d.pairs = d.pairs[:0]
	err := protofield.Each(message, func(f protofield.Field) error {
		if f.Number != 1 {
			return nil
		}
		return d.references(f)
	})
	if err != nil {
		return err
	}
	series, err := d.series()
	if err != nil {
		return err
	}
	return protofield.Each(message, func(f protofield.Field) error {
		switch {
		case !f.Bytes:
		case f.Number == 2:
			return d.sample(series, f.Content)
		case f.Number == 3:
			return d.histogram(series, f.Content)
		case f.Number == 4:
			return d.exemplar(series, f.Content, d.references)
		case f.Number == 5 && series != nil:
			return d.metadata2(series, f.Content)
		}
		return nil
	})
}

// references adds the labels to pairs to which a field refers: name and value by
// turns.
func (d *decoder) references(f protofield.Field) error {
	name, named := "", false
	err := f.Varints(func(i uint64) error {
		text, err := d.symbol(i)
		if err != nil {
			return err
		}
		if !named {
			name, named = text, true
			return nil
		}
		named = false
		if len(d.pairs) == mostLabels {
			return fmt.Errorf("it has more than %d labels", mostLabels)
		}
		d.pairs = append(d.pairs, labels.Label{Name: name, Value: text})
		return d.spend(labelCost)
	})
	if err == nil && named {
		err = errors.New("a label has no value")
	}
	return err
}

func (d *decoder) symbol(i uint64) (string, error) {
	if i >= uint64(len(d.symbols)) {
		return "", fmt.Errorf("there is no symbol %d", i)
	}
	return d.symbols[i], nil
}

// metadata2 decodes a Metadata: type, and references to help and unit.
func (d *decoder) metadata2(series *pipeline.Series, message []byte) error {
	var m pipeline.Metadata
	kind := uint64(0)
	err := protofield.Each(message, func(f protofield.Field) (err error) {
		switch f.Number {
		case 1:
			kind = f.Value
		case 3:
			m.Help, err = d.symbol(f.Value)
		case 4:
			m.Unit, err = d.symbol(f.Value)
		}
		return err
	})
	if err != nil || kind == 0 && m.Help == "" && m.Unit == "" {
		return err
	}
	m.Family = family(series.Labels.Get(model.MetricNameLabel), kind)
	return d.describe(m, kind)
}
