package process

import (
	"errors"
	"reflect"
	"strings"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// Config is the configuration of loki.process.
type Config struct {
	ForwardTo []pipeline.LogsSink `alloy:"forward_to,attr"`
	Stages    []StageConfig       `alloy:"stage,enum,optional"`
}

// StageConfig is one block stage.*: exactly one of its fields is set.
type StageConfig struct {
	CRI                    *CRIConfig                    `alloy:"cri,block,optional"`
	Decolorize             *DecolorizeConfig             `alloy:"decolorize,block,optional"`
	Docker                 *DockerConfig                 `alloy:"docker,block,optional"`
	Drop                   *DropConfig                   `alloy:"drop,block,optional"`
	EventLogMessage        *EventLogMessageConfig        `alloy:"eventlogmessage,block,optional"`
	GeoIP                  *GeoIPConfig                  `alloy:"geoip,block,optional"`
	JSON                   *JSONConfig                   `alloy:"json,block,optional"`
	LabelDrop              *LabelDropConfig              `alloy:"label_drop,block,optional"`
	LabelKeep              *LabelKeepConfig              `alloy:"label_keep,block,optional"`
	Labels                 *LabelsConfig                 `alloy:"labels,block,optional"`
	Limit                  *LimitConfig                  `alloy:"limit,block,optional"`
	Logfmt                 *LogfmtConfig                 `alloy:"logfmt,block,optional"`
	Luhn                   *LuhnConfig                   `alloy:"luhn,block,optional"`
	Match                  *MatchConfig                  `alloy:"match,block,optional"`
	Metrics                *MetricsConfig                `alloy:"metrics,block,optional"`
	Multiline              *MultilineConfig              `alloy:"multiline,block,optional"`
	Output                 *OutputConfig                 `alloy:"output,block,optional"`
	Pack                   *PackConfig                   `alloy:"pack,block,optional"`
	Pattern                *PatternConfig                `alloy:"pattern,block,optional"`
	Regex                  *RegexConfig                  `alloy:"regex,block,optional"`
	Replace                *ReplaceConfig                `alloy:"replace,block,optional"`
	Sampling               *SamplingConfig               `alloy:"sampling,block,optional"`
	SplitJSON              *SplitJSONConfig              `alloy:"split_json,block,optional"`
	StaticLabels           *StaticLabelsConfig           `alloy:"static_labels,block,optional"`
	StructuredMetadata     *StructuredMetadataConfig     `alloy:"structured_metadata,block,optional"`
	StructuredMetadataDrop *StructuredMetadataDropConfig `alloy:"structured_metadata_drop,block,optional"`
	Template               *TemplateConfig               `alloy:"template,block,optional"`
	Tenant                 *TenantConfig                 `alloy:"tenant,block,optional"`
	Timestamp              *TimestampConfig              `alloy:"timestamp,block,optional"`
	Truncate               *TruncateConfig               `alloy:"truncate,block,optional"`
	WindowsEvent           *WindowsEventConfig           `alloy:"windowsevent,block,optional"`
}

// newStages makes the stages of a configuration. They start nothing.
func newStages(configs []StageConfig, v *env) ([]Stage, error) {
	var out []Stage
	for i, c := range configs {
		s, err := newStage(c, v)
		if err != nil {
			return nil, component.At(component.Block("stage", i), err)
		}
		out = append(out, s)
	}
	return out, nil
}

// newStage makes the stage of which the block is set.
func newStage(c StageConfig, v *env) (Stage, error) {
	switch {
	case c.CRI != nil:
		return newCRI(*c.CRI, v)
	case c.Decolorize != nil:
		return newDecolorize(), nil
	case c.Docker != nil:
		return newDocker(v)
	case c.Drop != nil:
		return newDrop(*c.Drop, v)
	case c.Limit != nil:
		return newLimit(*c.Limit, v)
	case c.Match != nil:
		return newMatch(*c.Match, v)
	case c.Metrics != nil:
		return newMetricsStage(*c.Metrics, v)
	case c.Multiline != nil:
		return newMultiline(*c.Multiline, v)
	case c.Sampling != nil:
		return newSampling(*c.Sampling, v)
	case c.Tenant != nil:
		return newTenant(*c.Tenant)
	case c.Timestamp != nil:
		return newTimestamp(*c.Timestamp)
	}
	if s, err := newLabelStage(c); s != nil || err != nil {
		return s, err
	}
	return newTextStage(c, v)
}

// newLabelStage makes stages that are about labels and structured metadata.
func newLabelStage(c StageConfig) (Stage, error) {
	switch {
	case c.LabelDrop != nil:
		return newLabelDrop(*c.LabelDrop)
	case c.LabelKeep != nil:
		return newLabelKeep(*c.LabelKeep)
	case c.Labels != nil:
		return newLabels(*c.Labels)
	case c.StaticLabels != nil:
		return newStaticLabels(*c.StaticLabels)
	case c.StructuredMetadata != nil:
		return newStructuredMetadata(*c.StructuredMetadata)
	case c.StructuredMetadataDrop != nil:
		return newStructuredMetadataDrop(*c.StructuredMetadataDrop)
	}
	return nil, nil
}

// newTextStage makes stages that read texts or change them.
func newTextStage(c StageConfig, v *env) (Stage, error) {
	switch {
	case c.EventLogMessage != nil:
		return newEventLogMessage(*c.EventLogMessage)
	case c.GeoIP != nil:
		return newGeoIP(*c.GeoIP, v)
	case c.JSON != nil:
		return newJSON(*c.JSON)
	case c.Logfmt != nil:
		return newLogfmt(*c.Logfmt)
	case c.Luhn != nil:
		return newLuhn(*c.Luhn)
	case c.Output != nil:
		return newOutput(*c.Output)
	case c.Pack != nil:
		return newPack(*c.Pack), nil
	case c.Pattern != nil:
		return newPattern(*c.Pattern)
	case c.Regex != nil:
		return newRegex(*c.Regex)
	case c.Replace != nil:
		return newReplace(*c.Replace, v)
	case c.SplitJSON != nil:
		return newSplitJSON(*c.SplitJSON, v)
	case c.Template != nil:
		return newTemplate(*c.Template)
	case c.Truncate != nil:
		return newTruncate(*c.Truncate, v)
	case c.WindowsEvent != nil:
		return newWindowsEvent(*c.WindowsEvent)
	}
	return nil, errors.New("the block is empty")
}

// name is the name of the block that is set, without "stage.".
func (c *StageConfig) name() string {
	of := reflect.ValueOf(c).Elem()
	for i := range of.NumField() {
		if !of.Field(i).IsNil() {
			name, _, _ := strings.Cut(of.Type().Field(i).Tag.Get("alloy"), ",")
			return name
		}
	}
	return ""
}
