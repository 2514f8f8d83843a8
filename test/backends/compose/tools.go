//go:build tools

package compose

import (
	_ "github.com/docker/compose/v2/cmd"
)
