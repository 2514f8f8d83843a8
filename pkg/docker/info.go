package docker

import (
	"context"
	"fmt"
)

// Info is what an Engine says of the machine that it runs on.
type Info struct {
	Name   string // of the host
	OSType string // linux or windows
}

// Info asks the Engine about its machine.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	err := e.unasked(toInfo)
	var r *Info
	if err == nil {
		r, err = ask(ctx, e, toInfo, requestTimeout, func(ctx context.Context, c *connection) (*Info, error) {
			r := new(Info)
			return r, c.object(ctx, "/info", maxObject, r)
		})
		if err != nil {
			e.noteRefusal(toInfo, err, "without it, the name of the Engine's host is not known")
		}
	}
	if err != nil {
		return Info{}, fmt.Errorf("ask the Docker Engine about its host: %w", err)
	}
	return *r, nil
}
