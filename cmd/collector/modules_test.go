package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/config"
	"collector/pkg/git/gittest"
	"collector/pkg/graph"
)

// TestAModuleOfARepositoryImportsWhatIsBesideIt checks a configuration whose module
// imports another of its repository, and that a check leaves no files.
func TestAModuleOfARepositoryImportsWhatIsBesideIt(t *testing.T) {
	s := gittest.New(t)
	s.Commit(map[string]string{
		"modules/main.alloy": `
			import.file "beside" { filename = file.path_join(module_path, "lib", "echo.alloy") }
			declare "out" {
				beside.echo "x" { }
				export "receiver" { value = beside.echo.x.receiver }
			}`,
		"lib/echo.alloy": `
			declare "echo" {
				loki.echo "e" { }
				export "receiver" { value = loki.echo.e.receiver }
			}`,
	})
	t.Setenv("TMPDIR", t.TempDir())
	text := `
		import.git "shop" {
			repository = "` + s.URL + `"
			path       = "modules/main.alloy"
		}
		shop.out "a" { }
		loki.process "p" { forward_to = [shop.out.a.receiver] }`
	check := func(text string) config.Diagnostics {
		return graph.Check(checkOptions(), []config.Source{{Name: "c.alloy", Text: []byte(text)}})
	}
	if ds := check(text); len(ds) > 0 {
		t.Error(ds)
	}
	if ds := check(strings.Replace(text, "shop.out \"a\" { }", "shop.out \"a\" { x = 1 }", 1)); ds.Err() == nil || !strings.Contains(ds.Error(), `unknown argument "x" of shop.out`) {
		t.Error(ds)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "import-git*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}
