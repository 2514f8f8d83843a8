package admin

import "collector/pkg/component"

// Components are the blocks that set up the HTTP server, whose access is a.
func Components(a *Access) []component.Definition {
	return []component.Definition{
		httpDefinition(a),
		liveDebuggingDefinition(),
	}
}
