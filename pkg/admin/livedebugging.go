package admin

import (
	"context"
	_ "embed"

	"collector/pkg/component"
)

//go:embed livedebugging.md
var liveDebuggingPage string

func liveDebuggingDefinition() component.Definition {
	return component.DefineBlock("livedebugging", newLiveDebugging, component.Doc{Page: liveDebuggingPage})
}

// liveDebuggingConfig is the block livedebugging.
type liveDebuggingConfig struct {
	Enabled bool `alloy:"enabled,attr,optional"`
}

type liveDebugging struct{}

func newLiveDebugging(liveDebuggingConfig, component.Options) (liveDebugging, error) {
	return liveDebugging{}, nil
}

func (liveDebugging) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
