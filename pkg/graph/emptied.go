package graph

import (
	"fmt"

	"collector/pkg/config"
)

// emptied reports each file of next that has no components though it has some in old, the
// configuration in force, and a configuration that has none at all after one with some: a
// file that was cut off, or a pipe that has been read already, would stop everything with
// a success. To remove all components, remove the file, or set Options.AllowEmpty.
func emptied(old, next *graph, sources []config.Source) config.Diagnostics {
	before, now := old.components(), next.components()
	if total(before) == 0 {
		return nil
	}
	var ds config.Diagnostics
	for _, s := range sources {
		if n := before[s.Name]; n > 0 && now[s.Name] == 0 {
			ds = append(ds, lost(s.Name, n))
		}
	}
	if ds == nil && total(now) == 0 {
		name := ""
		if len(sources) > 0 {
			name = sources[0].Name
		}
		ds = append(ds, lost(name, total(before)))
	}
	return ds
}

func lost(file string, n int) config.Diagnostic {
	return config.Diagnostic{At: config.Range{File: file}, Message: fmt.Sprintf(
		"there are no components here, and the running configuration has %d; was the file cut off, or is it a pipe, which can be read only once?", n),
		Accepted: "a complete configuration in a regular file; or start with --config.allow-empty if nothing should run"}
}

// components counts components by their file. Blocks such as logging are not components,
// except for one that loads others.
func (g *graph) components() map[string]int {
	n := map[string]int{}
	for _, node := range g.nodes {
		_, brings := node.component.(host)
		if brings || !node.def.Singleton && !node.hidden {
			n[g.blocks[node.id].At.File]++
		}
	}
	return n
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}
