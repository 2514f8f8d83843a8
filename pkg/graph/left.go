package graph

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"collector/pkg/deliver"
)

// maxLeftDepth is how deep folders of components are looked for: each module that a
// component is in is a folder.
const maxLeftDepth = 24

// left calls f with the folders that components of the same kind as n have left below
// the storage path: those that no component in force has, or may get. One caller
// comes after the other. load is the same for all that began with the load that n
// began with.
func (c *Controller) left(n *node, f func(dirs []string, load string)) {
	c.looking.Lock()
	defer c.looking.Unlock()
	if c.options.StoragePath == "" {
		return
	}
	used := map[string]bool{}
	for _, n := range slices.Concat(c.graph().nodes, c.other().nodes) {
		used[filepath.Join(c.options.StoragePath, n.id)] = true
	}
	expected := c.expected()
	var dirs []string
	var look func(dir string, depth int)
	look = func(dir string, depth int) {
		entries, err := os.ReadDir(dir)
		if err != nil || depth == maxLeftDepth || slices.ContainsFunc(expected, func(u deliver.Use) bool { return u.Below == dir }) {
			return // nobody's, or nothing yet
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !e.IsDir() { // links are not followed
				continue
			}
			label, ok := strings.CutPrefix(e.Name(), n.def.Name+".")
			if ok && !strings.Contains(label, ".") && !used[path] {
				dirs = append(dirs, path)
			}
			look(path, depth+1)
		}
	}
	look(filepath.Clean(c.options.StoragePath), 0)
	n.mu.Lock()
	load := strconv.FormatInt(n.began.UnixNano(), 10)
	n.mu.Unlock()
	f(dirs, load)
}
