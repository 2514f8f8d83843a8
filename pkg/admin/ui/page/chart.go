package page

import (
	"fmt"
	"math"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Sparkline is a small chart of evenly spaced values; label says what it shows.
func Sparkline(label string, values []float64) g.Node {
	const width, height = 120.0, 24.0
	top, least := 0.0, math.Inf(1)
	for _, v := range values {
		top, least = max(top, v), min(least, v)
	}
	if top-least < top/20 {
		top *= 2 // what hardly changes is drawn through the middle
	}
	var points strings.Builder
	for i, v := range values {
		x := width * float64(i) / float64(max(len(values)-1, 1))
		y := height - 1
		if top > 0 {
			y = height - 1 - (height-2)*max(v, 0)/top
		}
		fmt.Fprintf(&points, "%.1f,%.1f ", x, y)
	}
	return g.El("svg", h.Class("spark"), g.Attr("viewBox", "0 0 120 24"), h.Width("120"), h.Height("24"), h.Role("img"), g.Attr("aria-label", label),
		g.El("polyline", g.Attr("points", strings.TrimSpace(points.String())), g.Attr("fill", "none")))
}

// Spark is a sparkline of the last five minutes, once there is enough to draw.
func Spark(label string, values []float64) g.Node {
	if len(values) < 2 {
		return nil
	}
	return Sparkline(label+" over the last five minutes", values)
}
