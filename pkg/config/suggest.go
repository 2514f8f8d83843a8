package config

import "collector/pkg/suggest"

// didYouMean is the end of a message about an unknown name.
func didYouMean(name string, candidates []string) string {
	if near := suggest.Nearest(name, candidates); near != "" {
		return "; did you mean \"" + near + "\"?"
	}
	return ""
}
