package graph

import (
	"cmp"
	"slices"
)

// Measures of the drawing, in pixels.
const (
	boxWidth  = 210
	boxHeight = 46
	gapX      = 96 // between layers, where the edges and their labels are
	gapY      = 22 // with room for what is wrong with the node above
	margin    = 18
	overhang  = 40 // of the text below a node of the last layer
)

// drawing is a graph with a place for each node and each edge.
type drawing struct {
	Width, Height int
	Nodes         []placed
	Edges         []polyline
}

// placed is a node's upper left corner.
type placed struct{ X, Y int }

// polyline is the points through which an edge goes, from left to right.
type polyline []placed

// slot is a place in a layer: a node, or a passing edge.
type slot struct {
	node     int // -1 where an edge passes
	layer    int
	position int
	row      float64 // wanted
	in, out  []int   // slots in the layers beside
}

// layout places nodes 0 to n-1 in layers, so that edges lead to the right.
func layout(n int, edges [][2]int) drawing {
	layers := layersOf(n, edges)
	slots := make([]slot, n)
	for i := range slots {
		slots[i] = slot{node: i, layer: layers[i]}
	}
	paths := make([][]int, len(edges))
	for e, edge := range edges {
		at := edge[0]
		paths[e] = []int{at}
		for l := layers[edge[0]] + 1; l < layers[edge[1]]; l++ {
			slots = append(slots, slot{node: -1, layer: l})
			join(slots, at, len(slots)-1)
			at = len(slots) - 1
			paths[e] = append(paths[e], at)
		}
		join(slots, at, edge[1])
		paths[e] = append(paths[e], edge[1])
	}
	columns := arrange(slots)
	return draw(n, slots, columns, paths)
}

func join(slots []slot, from, to int) {
	slots[from].out = append(slots[from].out, to)
	slots[to].in = append(slots[to].in, from)
}

// layersOf returns the length of the longest path to each node. Edges that close a
// cycle are ignored.
func layersOf(n int, edges [][2]int) []int {
	in := make([][]int, n)
	for _, e := range edges {
		in[e[1]] = append(in[e[1]], e[0])
	}
	layers := make([]int, n)
	state := make([]int, n) // 1: on the path, 2: done
	var visit func(int)
	visit = func(i int) {
		state[i] = 1
		for _, from := range in[i] {
			if state[from] == 0 {
				visit(from)
			}
			if state[from] == 2 {
				layers[i] = max(layers[i], layers[from]+1)
			}
		}
		state[i] = 2
	}
	for i := range n {
		if state[i] == 0 {
			visit(i)
		}
	}
	return layers
}

// sweeps is how often the order within the layers is improved.
const sweeps = 6

// arrange orders the slots of each layer so that few edges cross: each moves to the
// average position of its neighbors, looking left, then right, in turn.
func arrange(slots []slot) [][]int {
	var columns [][]int
	for i, s := range slots {
		for len(columns) <= s.layer {
			columns = append(columns, nil)
		}
		slots[i].position = len(columns[s.layer])
		columns[s.layer] = append(columns[s.layer], i)
	}
	for sweep := range sweeps {
		for c := range columns {
			column, beside := columns[c], func(s slot) []int { return s.in }
			if sweep%2 == 1 {
				column, beside = columns[len(columns)-1-c], func(s slot) []int { return s.out }
			}
			sortColumn(slots, column, beside)
		}
	}
	return columns
}

func sortColumn(slots []slot, column []int, beside func(slot) []int) {
	for _, i := range column {
		slots[i].row = float64(slots[i].position)
		if neighbors := beside(slots[i]); len(neighbors) > 0 {
			sum := 0
			for _, j := range neighbors {
				sum += slots[j].position
			}
			slots[i].row = float64(sum) / float64(len(neighbors))
		}
	}
	slices.SortStableFunc(column, func(a, b int) int { return cmp.Compare(slots[a].row, slots[b].row) })
	for position, i := range column {
		slots[i].position = position
	}
}

// draw turns layers and positions into pixels. Shorter layers are centered.
func draw(n int, slots []slot, columns [][]int, paths [][]int) drawing {
	tallest := 0
	for _, column := range columns {
		tallest = max(tallest, len(column))
	}
	d := drawing{
		Nodes:  make([]placed, n),
		Width:  2*margin + len(columns)*boxWidth + max(0, len(columns)-1)*gapX + overhang,
		Height: 2*margin + tallest*(boxHeight+gapY) - gapY,
	}
	at := func(i int) placed {
		s := slots[i]
		shift := (tallest - len(columns[s.layer])) * (boxHeight + gapY) / 2
		return placed{margin + s.layer*(boxWidth+gapX), margin + shift + s.position*(boxHeight+gapY)}
	}
	for i := range n {
		d.Nodes[i] = at(i)
	}
	for _, path := range paths {
		var r polyline
		for k, i := range path {
			p := at(i)
			p.Y += boxHeight / 2
			if k > 0 {
				r = append(r, p) // comes in at the left
			}
			if k < len(path)-1 {
				r = append(r, placed{p.X + boxWidth, p.Y})
			}
		}
		d.Edges = append(d.Edges, r)
	}
	return d
}
