package positions

import "go.yaml.in/yaml/v3"

// NoLabels is what Alloy has for the labels of positions that it took over from
// Promtail.
const NoLabels = "{}"

// EachOfAlloy calls f for each position in a file of Alloy's,
//
//	positions:
//	  ? path: /var/log/app.log
//	    labels: '{job="a"}'
//	  : "1234"
//
// or of Promtail's, whose keys are paths. It fails on what is no YAML, and passes
// over what is no position.
func EachOfAlloy(data []byte, f func(path, labels, value string)) error {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return err
	}
	if len(root.Content) == 0 {
		return nil
	}
	eachPair(root.Content[0], func(key, value *yaml.Node) {
		if key.Value != "positions" {
			return
		}
		eachPair(value, func(key, value *yaml.Node) {
			path, labels := key.Value, NoLabels
			eachPair(key, func(name, v *yaml.Node) {
				switch name.Value {
				case "path":
					path = v.Value
				case "labels":
					labels = v.Value
				}
			})
			f(path, labels, value.Value)
		})
	})
	return nil
}

// eachPair calls f for the pairs of a mapping; other nodes have none.
func eachPair(n *yaml.Node, f func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i], n.Content[i+1])
	}
}
