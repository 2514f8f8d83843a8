package scrape

import (
	"errors"
	"fmt"
	"math"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/pipeline"
)

// Config is what the user writes in prometheus.scrape.
type Config struct {
	Targets   *discovery.Set         `alloy:"targets,attr"`
	ForwardTo []pipeline.MetricsSink `alloy:"forward_to,attr"`

	JobName                  string              `alloy:"job_name,attr,optional"`
	HonorLabels              bool                `alloy:"honor_labels,attr,optional"`
	HonorTimestamps          bool                `alloy:"honor_timestamps,attr,optional"`
	HonorMetadata            bool                `alloy:"honor_metadata,attr,optional"`
	TrackTimestampsStaleness bool                `alloy:"track_timestamps_staleness,attr,optional"`
	Params                   map[string][]string `alloy:"params,attr,optional"`
	ScrapeInterval           time.Duration       `alloy:"scrape_interval,attr,optional"`
	ScrapeTimeout            time.Duration       `alloy:"scrape_timeout,attr,optional"`
	MetricsPath              string              `alloy:"metrics_path,attr,optional"`
	Scheme                   string              `alloy:"scheme,attr,optional"`
	ExtraMetrics             bool                `alloy:"extra_metrics,attr,optional"`
	ScrapeFailureLogFile     string              `alloy:"scrape_failure_log_file,attr,optional"`

	ScrapeProtocols            []string `alloy:"scrape_protocols,attr,optional"`
	ScrapeFallbackProtocol     string   `alloy:"scrape_fallback_protocol,attr,optional"`
	EnableProtobufNegotiation  bool     `alloy:"enable_protobuf_negotiation,attr,optional"`
	EnableCompression          bool     `alloy:"enable_compression,attr,optional"`
	MetricNameValidationScheme string   `alloy:"metric_name_validation_scheme,attr,optional"`
	MetricNameEscapingScheme   string   `alloy:"metric_name_escaping_scheme,attr,optional"`

	BodySizeLimit         component.Bytes `alloy:"body_size_limit,attr,optional"`
	SampleLimit           uint            `alloy:"sample_limit,attr,optional"`
	TargetLimit           uint            `alloy:"target_limit,attr,optional"`
	LabelLimit            uint            `alloy:"label_limit,attr,optional"`
	LabelNameLengthLimit  uint            `alloy:"label_name_length_limit,attr,optional"`
	LabelValueLengthLimit uint            `alloy:"label_value_length_limit,attr,optional"`

	ScrapeNativeHistograms         bool    `alloy:"scrape_native_histograms,attr,optional"`
	ScrapeClassicHistograms        bool    `alloy:"scrape_classic_histograms,attr,optional"`
	ConvertClassicHistogramsToNHCB bool    `alloy:"convert_classic_histograms_to_nhcb,attr,optional"`
	NativeHistogramBucketLimit     uint    `alloy:"native_histogram_bucket_limit,attr,optional"`
	NativeHistogramMinBucketFactor float64 `alloy:"native_histogram_min_bucket_factor,attr,optional"`

	HTTPClient httpclient.Config `alloy:",squash"`
	Clustering Clustering        `alloy:"clustering,block,optional"`
}

// Clustering is Alloy's distribution of targets over a cluster. In Alloy it has
// an effect only with --cluster.enabled; here it never has.
type Clustering struct {
	Enabled bool `alloy:"enabled,attr"`
}

// The values of scrape_protocols.
const (
	protoProtobuf  = "PrometheusProto"
	protoText004   = "PrometheusText0.0.4"
	protoText100   = "PrometheusText1.0.0"
	protoOpenMet01 = "OpenMetricsText0.0.1"
	protoOpenMet10 = "OpenMetricsText1.0.0"
)

// mediaRange is how a protocol is written in the Accept header; empty for an
// unknown protocol.
func mediaRange(protocol string) string {
	switch protocol {
	case protoProtobuf:
		return "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	case protoText004:
		return "text/plain;version=0.0.4"
	case protoText100:
		return "text/plain;version=1.0.0"
	case protoOpenMet01:
		return "application/openmetrics-text;version=0.0.1"
	case protoOpenMet10:
		return "application/openmetrics-text;version=1.0.0"
	}
	return ""
}

func allProtocols() []string {
	return []string{protoProtobuf, protoOpenMet10, protoOpenMet01, protoText100, protoText004}
}

func textProtocols() []string { return allProtocols()[1:] }

// SetToDefault sets what Alloy starts from. An empty escaping scheme represents
// the one that fits the validation scheme.
func (c *Config) SetToDefault() {
	*c = Config{
		HonorTimestamps:            true,
		ScrapeInterval:             time.Minute,
		ScrapeTimeout:              10 * time.Second,
		MetricsPath:                "/metrics",
		Scheme:                     "http",
		ScrapeProtocols:            textProtocols(),
		ScrapeFallbackProtocol:     protoText004,
		EnableCompression:          true,
		MetricNameValidationScheme: model.LegacyValidation.String(),
		HTTPClient:                 httpclient.Default(),
	}
}

// Validate reports everything that cannot work, and settles what depends on
// more than one argument.
func (c *Config) Validate() error {
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	add(c.validateTiming())
	if c.Scheme != "http" && c.Scheme != "https" {
		add(component.At("scheme", fmt.Errorf("%q is unknown: use \"http\" or \"https\"", c.Scheme)))
	}
	add(c.settleProtocols())
	add(c.settleNames())
	if f := c.NativeHistogramMinBucketFactor; f < 0 || math.IsNaN(f) {
		add(component.At("native_histogram_min_bucket_factor", fmt.Errorf("%v is not valid: use 0 (off) or a factor above 1", f)))
	}
	if c.BodySizeLimit < 0 {
		add(component.At("body_size_limit", fmt.Errorf("%v is not valid: use 0 (no limit) or a size", c.BodySizeLimit)))
	}
	add(c.HTTPClient.Validate())
	return errors.Join(errs...)
}

func (c *Config) validateTiming() error {
	switch {
	case c.ScrapeInterval < time.Millisecond:
		return component.At("scrape_interval", fmt.Errorf("%s is too short: it must be at least 1ms", c.ScrapeInterval))
	case c.ScrapeTimeout < time.Millisecond:
		return component.At("scrape_timeout", fmt.Errorf("%s is too short: it must be at least 1ms", c.ScrapeTimeout))
	case c.ScrapeTimeout > c.ScrapeInterval:
		return component.At("scrape_timeout", fmt.Errorf("%s is longer than scrape_interval, %s: set scrape_timeout to at most %s",
			c.ScrapeTimeout, c.ScrapeInterval, c.ScrapeInterval))
	}
	return nil
}

func (c *Config) settleProtocols() error {
	unset := len(c.ScrapeProtocols) == 0 || slices.Equal(c.ScrapeProtocols, textProtocols())
	if c.EnableProtobufNegotiation {
		switch {
		case unset:
			c.ScrapeProtocols = allProtocols()
		case !slices.Equal(c.ScrapeProtocols, allProtocols()):
			return component.At("enable_protobuf_negotiation", errors.New("scrape_protocols is also set: keep only that"))
		}
		c.ScrapeNativeHistograms = true
	}
	if c.ScrapeNativeHistograms && unset {
		c.ScrapeProtocols = allProtocols()
	}
	if len(c.ScrapeProtocols) == 0 {
		c.ScrapeProtocols = textProtocols()
	}
	for i, p := range c.ScrapeProtocols {
		if mediaRange(p) == "" {
			return component.At("scrape_protocols", fmt.Errorf("%q is unknown: use some of %s", p, strings.Join(allProtocols(), ", ")))
		}
		if slices.Contains(c.ScrapeProtocols[:i], p) {
			return component.At("scrape_protocols", fmt.Errorf("%q is listed twice: name each protocol once", p))
		}
	}
	if c.ScrapeNativeHistograms && !slices.Contains(c.ScrapeProtocols, protoProtobuf) {
		return component.At("scrape_native_histograms", fmt.Errorf("needs %s in scrape_protocols: no other protocol carries them", protoProtobuf))
	}
	if p := c.ScrapeFallbackProtocol; p != "" && mediaRange(p) == "" {
		return component.At("scrape_fallback_protocol", fmt.Errorf("%q is unknown: use one of %s", p, strings.Join(allProtocols(), ", ")))
	}
	return nil
}

func (c *Config) settleNames() error {
	legacy, utf8 := model.LegacyValidation.String(), model.UTF8Validation.String()
	if s := c.MetricNameValidationScheme; s != legacy && s != utf8 {
		return component.At("metric_name_validation_scheme", fmt.Errorf("%q is unknown: use %q or %q", s, legacy, utf8))
	}
	if c.MetricNameEscapingScheme == "" {
		c.MetricNameEscapingScheme = model.EscapeUnderscores
		if c.MetricNameValidationScheme == utf8 {
			c.MetricNameEscapingScheme = model.AllowUTF8
		}
	}
	schemes := []string{model.AllowUTF8, model.EscapeUnderscores, model.EscapeDots, model.EscapeValues}
	if s := c.MetricNameEscapingScheme; !slices.Contains(schemes, s) {
		return component.At("metric_name_escaping_scheme", fmt.Errorf("%q is unknown: use one of %s", s, strings.Join(schemes, ", ")))
	}
	if c.MetricNameEscapingScheme == model.AllowUTF8 && c.MetricNameValidationScheme != utf8 {
		return component.At("metric_name_escaping_scheme", fmt.Errorf("%q needs metric_name_validation_scheme = %q", model.AllowUTF8, utf8))
	}
	return nil
}

// accept is the Accept header: the protocols in the user's order with falling
// weights, and anything else last.
func (c *Config) accept() string {
	var b strings.Builder
	weight := len(allProtocols()) + 1
	for _, p := range c.ScrapeProtocols {
		b.WriteString(mediaRange(p))
		if p == protoText100 || p == protoOpenMet10 {
			b.WriteString(";" + model.EscapingKey + "=" + c.MetricNameEscapingScheme)
		}
		fmt.Fprintf(&b, ";q=0.%d,", weight)
		weight--
	}
	fmt.Fprintf(&b, "*/*;q=0.%d", weight)
	return b.String()
}

func (c *Config) acceptEncoding() string {
	if c.EnableCompression {
		return "gzip"
	}
	return "identity"
}

// fallbackMediaType is what a page without a usable Content-Type is read as;
// empty when such a page is to fail.
func (c *Config) fallbackMediaType() string {
	mediaType, _, err := mime.ParseMediaType(mediaRange(c.ScrapeFallbackProtocol))
	if err != nil {
		return ""
	}
	return mediaType
}

func (c *Config) validation() model.ValidationScheme {
	if c.MetricNameValidationScheme == model.UTF8Validation.String() {
		return model.UTF8Validation
	}
	return model.LegacyValidation
}

// maxSchema is the highest resolution of an exponential histogram whose
// buckets grow by at least the given factor.
func (c *Config) maxSchema() int32 {
	f := c.NativeHistogramMinBucketFactor
	if f <= 1 {
		return histogram.ExponentialSchemaMax
	}
	schema := math.Floor(-math.Log2(math.Log2(f)))
	return int32(min(max(schema, float64(histogram.ExponentialSchemaMin)), float64(histogram.ExponentialSchemaMax)))
}
