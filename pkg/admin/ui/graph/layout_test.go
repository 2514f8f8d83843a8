package graph

import (
	"math/rand/v2"
	"testing"
)

// TestLayoutPlacesAnyGraph checks random graphs, some with cycles: no two boxes overlap,
// all is within the drawing, and each edge goes from its source's right side to its
// destination's left side.
func TestLayoutPlacesAnyGraph(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + random.IntN(30)
		var edges [][2]int
		for range random.IntN(2 * n) {
			edges = append(edges, [2]int{random.IntN(n), random.IntN(n)})
		}
		d := layout(n, edges)
		for i, a := range d.Nodes {
			if a.X < 0 || a.Y < 0 || a.X+boxWidth > d.Width || a.Y+boxHeight > d.Height {
				t.Fatalf("%v: node %d at %v is outside of %d×%d", edges, i, a, d.Width, d.Height)
			}
			for j, b := range d.Nodes[:i] {
				if abs(a.X-b.X) < boxWidth && abs(a.Y-b.Y) < boxHeight {
					t.Fatalf("%v: nodes %d and %d overlap at %v and %v", edges, i, j, a, b)
				}
			}
		}
		for e, edge := range edges {
			points, from, to := d.Edges[e], d.Nodes[edge[0]], d.Nodes[edge[1]]
			if first := points[0]; first != (placed{from.X + boxWidth, from.Y + boxHeight/2}) {
				t.Fatalf("%v: edge %d begins at %v", edges, e, first)
			}
			if last := points[len(points)-1]; last != (placed{to.X, to.Y + boxHeight/2}) {
				t.Fatalf("%v: edge %d ends at %v", edges, e, last)
			}
		}
	}
}

func abs(v int) int { return max(v, -v) }

func TestEdgesOfAnAcyclicGraphLeadToTheRight(t *testing.T) {
	edges := [][2]int{{0, 1}, {1, 2}, {0, 2}, {3, 2}, {2, 4}, {3, 4}}
	d := layout(5, edges)
	for _, e := range edges {
		if d.Nodes[e[0]].X >= d.Nodes[e[1]].X {
			t.Errorf("%v: from %v to %v", e, d.Nodes[e[0]], d.Nodes[e[1]])
		}
	}
}
