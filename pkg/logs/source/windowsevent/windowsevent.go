// Package windowsevent is loki.source.windowsevent, which reads the event log of
// Windows: on other systems it is accepted and does nothing, as in Alloy.
package windowsevent

import (
	"context"
	_ "embed"
	"time"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

//go:embed loki.source.windowsevent.md
var page string

// Config is the configuration of loki.source.windowsevent.
type Config struct {
	Locale               int                 `alloy:"locale,attr,optional"`
	EventLogName         string              `alloy:"eventlog_name,attr,optional"`
	XPathQuery           string              `alloy:"xpath_query,attr,optional"`
	BookmarkPath         string              `alloy:"bookmark_path,attr,optional"`
	PollInterval         time.Duration       `alloy:"poll_interval,attr,optional"`
	ExcludeEventData     bool                `alloy:"exclude_event_data,attr,optional"`
	ExcludeUserData      bool                `alloy:"exclude_user_data,attr,optional"`
	ExcludeEventMessage  bool                `alloy:"exclude_event_message,attr,optional"`
	UseIncomingTimestamp bool                `alloy:"use_incoming_timestamp,attr,optional"`
	ForwardTo            []pipeline.LogsSink `alloy:"forward_to,attr"`
	Labels               map[string]string   `alloy:"labels,attr,optional"`
	LegacyBookmarkPath   string              `alloy:"legacy_bookmark_path,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() { *c = Config{XPathQuery: "*", PollInterval: 3 * time.Second} }

// Source is loki.source.windowsevent.
type Source struct{ options component.Options }

// Definition is the component loki.source.windowsevent.
func Definition() component.Definition {
	return component.Define("loki.source.windowsevent", New, component.Doc{Page: page})
}

// New makes the component.
func New(_ Config, o component.Options) (*Source, error) { return &Source{o.WithDefaults()}, nil }

// Run says that it does nothing, and waits until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	s.options.Logger.Info("the component does nothing: it works on Windows only")
	<-ctx.Done()
	return nil
}
