package imports

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/git/gittest"
)

func gitConfig(url, path string) GitConfig {
	var c GitConfig
	c.SetToDefault()
	c.Repository, c.Path = url, path
	return c
}

func newGit(t *testing.T, c GitConfig, o component.Options) *Git {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	g, err := NewGit(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAModuleOfARepositoryIsAFileOrAFolderAndIsFollowed(t *testing.T) {
	s := gittest.New(t)
	s.Commit(map[string]string{"modules/a.alloy": "a", "modules/b.alloy": "b", "modules/c.txt": "c", "modules/deep/d.alloy": "d", "top.alloy": "top"})
	for at, want := range map[string]string{"modules/a.alloy": "a", "modules": "a|b", "./modules/": "a|b", ".": "top"} {
		m := newGit(t, gitConfig(s.URL, at), component.Options{Dir: t.TempDir()}).Module()
		if text(m) != want {
			t.Errorf("%s is %+v", at, m)
		}
		if beside, err := os.ReadFile(filepath.Join(m.Path, "modules/c.txt")); string(beside) != "c" {
			t.Errorf("the files beside the module: %q, %v", beside, err)
		}
	}
	for at, want := range map[string]string{"none.alloy": "has no file or folder", "../../etc/passwd": "has no file or folder", "modules/c": "has no file or folder"} {
		if _, err := NewGit(gitConfig(s.URL, at), component.Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", at, err)
		}
	}
	changed := make(chan struct{}, 10)
	c := gitConfig(s.URL, "modules")
	c.PullFrequency = 10 * time.Millisecond
	g := newGit(t, c, component.Options{Dir: t.TempDir(), Changed: func() { changed <- struct{}{} }})
	run(t, g)
	s.Commit(map[string]string{"modules/a.alloy": "new", "modules/b.alloy": ""})
	<-changed
	if got := text(g.Module()); got != "new" {
		t.Errorf("after a commit, the module is %q", got)
	}
}

func TestACommitOutlivesItsServer(t *testing.T) {
	s := gittest.New(t)
	first := s.Commit(map[string]string{"m.alloy": "one"})
	o := component.Options{Dir: filepath.Join(t.TempDir(), "import.git.m")}
	s.Down.Store(true)
	if _, err := NewGit(gitConfig(s.URL, "m.alloy"), o); !component.Lacks(err) || !strings.Contains(err.Error(), "502") {
		t.Errorf("without a server and a commit: %v", err)
	}
	s.Down.Store(false)
	g := newGit(t, gitConfig(s.URL, "m.alloy"), o)
	g.Keep(g.Module())
	posts := s.Posts.Load()
	g.look(t.Context())
	if n := s.Posts.Load() - posts; n != 1 {
		t.Errorf("a commit that is known costs %d requests, want 1", n)
	}
	s.Down.Store(true)
	g.look(t.Context())
	if err := g.Health(); err == nil || !strings.Contains(err.Error(), first[:12]) || text(g.Module()) != "one" {
		t.Errorf("health %v, module %q", err, text(g.Module()))
	}
	again := newGit(t, gitConfig(s.URL, "m.alloy"), o)
	if text(again.Module()) != "one" || again.Health() == nil {
		t.Errorf("after a restart: %q, %v", text(again.Module()), again.Health())
	}
	other := gitConfig(s.URL, "m.alloy")
	other.Revision = "other"
	if _, err := NewGit(other, o); err == nil {
		t.Error("a commit of another revision serves")
	}
	s.Down.Store(false)
	s.Commit(map[string]string{"m.alloy": "// two"})
	again.look(t.Context())
	if again.Health() != nil || text(again.Module()) != "// two" {
		t.Errorf("after the server came back: %q, %v", text(again.Module()), again.Health())
	}
	s.Commit(map[string]string{"m.alloy": "", "x": "y"})
	again.look(t.Context())
	if again.Health() == nil || text(again.Module()) != "// two" {
		t.Errorf("without the module in the commit: %q, %v", text(again.Module()), again.Health())
	}
}

func TestFilesOfOldCommitsAreRemoved(t *testing.T) {
	s := gittest.New(t)
	first := s.Commit(map[string]string{"m.alloy": "one"})
	o := component.Options{Dir: t.TempDir()}
	inner := filepath.Join(o.Dir, "import.http.inner") // of an import in the module
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	g := newGit(t, gitConfig(s.URL, "m.alloy"), o)
	other := gitConfig(s.URL, "m.alloy")
	other.Revision = first
	newGit(t, other, o)
	s.Commit(map[string]string{"m.alloy": "two"})
	g.look(t.Context())
	g.Keep(g.Module())
	long := time.Now().Add(-time.Hour)
	var folders []string
	for _, pattern := range []string{"*", "*/*"} {
		found, _ := filepath.Glob(filepath.Join(o.Dir, pattern))
		for _, path := range found {
			if err := os.Chtimes(path, long, long); err != nil {
				t.Fatal(err)
			}
		}
		folders = append(folders, found...)
	}
	if len(folders) != 9 { // inner, two revisions, three commits, three packs
		t.Errorf("folders %q", folders)
	}
	g.tidy(g.at.Get().commit)
	left, _ := filepath.Glob(filepath.Join(o.Dir, "*"))
	commits, _ := filepath.Glob(filepath.Join(g.dir, "*"))
	if len(left) != 2 || len(commits) != 2 || text(g.Module()) != "two" {
		t.Errorf("left are %q and %q", left, commits)
	}
}

func TestARepositoryThatIsOnlyCheckedLeavesNothing(t *testing.T) {
	s := gittest.New(t)
	s.Commit(map[string]string{"m.alloy": "one"})
	t.Setenv("TMPDIR", t.TempDir())
	g := newGit(t, gitConfig(s.URL, "m.alloy"), component.Options{CheckOnly: true})
	if text(g.Module()) != "one" {
		t.Errorf("module %q", text(g.Module()))
	}
	g.Close()
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestRepositoriesThatCannotBeReadAreRejectedByName(t *testing.T) {
	f := func(want string, change func(*GitConfig)) {
		t.Helper()
		c := gitConfig("https://git.example.com/m.git", "m.alloy")
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f("SSH is not supported", func(c *GitConfig) { c.SSHKey = &GitSSHKey{Key: "hidden"} })
	f("import.file", func(c *GitConfig) { c.Repository = "git@example.com:m.git" })
	f("import.file", func(c *GitConfig) { c.Repository = "ssh://git:hidden@example.com/m.git" })
	f("import.file", func(c *GitConfig) { c.Repository = "/srv/m.git" })
	f("HEAD is not a revision", func(c *GitConfig) { c.Revision = "HEAD" })
	f("not the name of a branch", func(c *GitConfig) { c.Revision = "a\nb" })
	f("not the name of a branch", func(c *GitConfig) { c.Revision = "" })
	f("must not be negative", func(c *GitConfig) { c.PullFrequency = -1 })
}

// A restart while the server is away must not begin with a commit that never loaded.
func TestOnlyACommitThatWasInForceOutlivesItsServer(t *testing.T) {
	s := gittest.New(t)
	good := s.Commit(map[string]string{"m.alloy": "good", "beside": "x"})
	o := component.Options{Dir: filepath.Join(t.TempDir(), "import.git.m")}
	g := newGit(t, gitConfig(s.URL, "m.alloy"), o)
	inForce := g.Module()
	g.Keep(inForce)
	for _, bad := range []string{"// bad", "// worse"} {
		s.Commit(map[string]string{"m.alloy": bad})
		old := time.Now().Add(-time.Hour)
		for _, path := range []string{inForce.Path, inForce.Path + packSuffix} {
			_ = os.Chtimes(path, old, old) // the second has been kept, so that it is not there
		}
		g.look(t.Context())
		if text(g.Module()) != bad {
			t.Fatalf("module %q", text(g.Module()))
		}
		if beside, err := os.ReadFile(filepath.Join(inForce.Path, "beside")); string(beside) != "x" {
			t.Errorf("a file of the commit in force: %q, %v", beside, err)
		}
		s.Down.Store(true)
		again := newGit(t, gitConfig(s.URL, "m.alloy"), o)
		if text(again.Module()) != "good" || !strings.Contains(again.Health().Error(), good[:12]) {
			t.Errorf("after a restart: %q, %v", text(again.Module()), again.Health())
		}
		again.Keep(again.Module())
		s.Down.Store(false)
	}
	g.Keep(g.Module())
	s.Down.Store(true)
	if again := newGit(t, gitConfig(s.URL, "m.alloy"), o); text(again.Module()) != "// worse" {
		t.Errorf("once it was in force: %q", text(again.Module()))
	}
}

func TestACommitThatCannotBeUsedLeavesTheLastOneInForce(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"without the module":    {map[string]string{"m.alloy": "", "x": "y"}, "has no file or folder"},
		"that cannot be parsed": {map[string]string{"m.alloy": "declare {"}, "m.alloy:1:"},
	} {
		s := gittest.New(t)
		good := s.Commit(map[string]string{"m.alloy": "// good"})
		o := component.Options{Dir: filepath.Join(t.TempDir(), "import.git.m")}
		g := newGit(t, gitConfig(s.URL, "m.alloy"), o)
		g.Keep(g.Module())
		s.Commit(c.files)
		inForce := func(when string, g *Git) {
			t.Helper()
			health := g.Health()
			if text(g.Module()) != "// good" || health == nil || !strings.Contains(health.Error(), good[:12]) || !strings.Contains(health.Error(), c.want) {
				t.Errorf("a commit %s, %s: module %q, health %v", name, when, text(g.Module()), health)
			}
		}
		g.look(t.Context())
		inForce("while it runs", g)
		again, err := NewGit(gitConfig(s.URL, "m.alloy"), o)
		if err != nil {
			t.Errorf("a start with a commit %s: %v", name, err)
			continue
		}
		inForce("at a start", again)
		again.Keep(again.Module())
		again.look(t.Context())
		inForce("after a start", again)
		checked, err := NewGit(gitConfig(s.URL, "m.alloy"), component.Options{CheckOnly: true, Dir: o.Dir})
		if err == nil && text(checked.Module()) == "// good" {
			t.Errorf("a check does not see the commit %s", name)
		}
		if err == nil {
			checked.Close()
		}
		s.Commit(map[string]string{"m.alloy": "// fixed"})
		again.look(t.Context())
		if text(again.Module()) != "// fixed" || again.Health() != nil {
			t.Errorf("after a commit %s was fixed: module %q, health %v", name, text(again.Module()), again.Health())
		}
	}
}

func TestARepositoryIsReadAsItsUserAndAtItsRevision(t *testing.T) {
	s := gittest.New(t)
	s.Commit(map[string]string{"m.alloy": "one"})
	s.Git("branch", "stable")
	s.Commit(map[string]string{"m.alloy": "two"})
	c := gitConfig(strings.Replace(s.URL, "/modules.git", "/secret/modules.git", 1), "m.alloy")
	if _, err := NewGit(c, component.Options{Dir: t.TempDir()}); err == nil {
		t.Error("anybody reads it")
	}
	c.BasicAuth = &GitBasicAuth{Username: "user", Password: "token"}
	if got := text(newGit(t, c, component.Options{Dir: t.TempDir()}).Module()); got != "two" {
		t.Errorf("the module is %q", got)
	}
	c.Revision = "stable"
	if got := text(newGit(t, c, component.Options{Dir: t.TempDir()}).Module()); got != "one" {
		t.Errorf("at the branch stable, the module is %q", got)
	}
}
