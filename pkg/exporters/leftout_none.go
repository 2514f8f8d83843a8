//go:build !no_exporters

package exporters

// LeftOut are the components that this build lacks: the build tag that omits them, by
// their names.
func LeftOut() map[string]string { return nil }
