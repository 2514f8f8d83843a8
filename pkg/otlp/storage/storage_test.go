package storage

import (
	"slices"
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/otlptest"
)

func TestItExportsAHandlerAndWarnsOfADirectory(t *testing.T) {
	var c Config
	c.SetToDefault()
	c.Directory = "/data"
	var warned []string
	made, err := New(c, component.Options{ID: "x", Warn: func(path, _ string) { warned = append(warned, path) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := made.Exports()["handler"].(*Handler); !ok || !slices.Equal(warned, []string{"directory"}) {
		t.Errorf("exports %v, warned of %q", made.Exports(), warned)
	}
}

func TestWhatAlloyRejectsIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "directory_permissions: ", func(c *Config) { c.DirectoryPermissions = "rwx" })
	otlptest.Says(t, "directory_permissions: ", func(c *Config) { c.DirectoryPermissions = "7777777" })
	otlptest.Says(t, "", func(c *Config) { c.DirectoryPermissions, c.CreateDirectory = "rwx", false })
	otlptest.Says(t, "max_transaction_size: ", func(c *Compaction) { c.MaxTransactionSize = -1 })
	otlptest.Says(t, "check_interval: ", func(c *Compaction) { c.OnRebound, c.CheckInterval = true, 0 })
}
