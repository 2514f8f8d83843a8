package bridge

import (
	"fmt"

	"github.com/go-viper/mapstructure/v2"
	otelcomponent "go.opentelemetry.io/collector/component"
	otelprocessor "go.opentelemetry.io/collector/processor"
)

// Config is the configuration that a processor has with the settings.
func (s Settings) Config(factory otelprocessor.Factory) (otelcomponent.Config, error) {
	return s.into(factory.CreateDefaultConfig())
}

// Check returns what a processor itself finds wrong with the settings.
func (s Settings) Check(factory otelprocessor.Factory) error {
	config, err := s.Config(factory)
	if err != nil {
		return err
	}
	if v, ok := config.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// into fills config, a pointer to a processor's own configuration. Some of these
// have fields of types that nobody else can name.
func (s Settings) into(config otelcomponent.Config) (otelcomponent.Config, error) {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: config, ErrorUnused: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), mapstructure.TextUnmarshallerHookFunc()),
	})
	if err != nil {
		return nil, err
	}
	if err := d.Decode(map[string]any(s)); err != nil {
		return nil, fmt.Errorf("BUG: settings that the processor does not have: %w", err)
	}
	return config, nil
}
