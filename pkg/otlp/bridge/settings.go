package bridge

import (
	"fmt"

	"github.com/go-viper/mapstructure/v2"
	otelcomponent "go.opentelemetry.io/collector/component"
)

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
