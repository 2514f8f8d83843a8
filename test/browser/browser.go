// Package browser starts a real Chromium for tests.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"collector/test/harness"
)

// Patience bounds each wait for the browser: machines that run tests are slow.
const Patience = time.Minute

// Start opens an empty window of a browser of its own, which is closed when the test
// ends. The context is for chromedp's actions.
func Start(t *testing.T, options ...chromedp.ContextOption) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("these tests need Chromium; `make chromium` installs it: %v", err)
	}
	profile, err := os.MkdirTemp("", "collector-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	flags := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.WSURLReadTimeout(Patience)}
	for _, name := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "disable-dev-shm-usage", "hide-scrollbars",
	} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(stop)
	ctx, closeWindow := chromedp.NewContext(allocator, options...)
	t.Cleanup(closeWindow)
	// The first call starts the browser, which lives as long as the call's
	// context: it has no time limit.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// Do runs actions one after the other, and fails the test if one fails.
func Do(t *testing.T, window context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	for i, action := range actions {
		ctx, cancel := context.WithTimeout(window, Patience)
		err := chromedp.Do(ctx, action)
		cancel()
		if err != nil {
			t.Fatalf("action %d of %d: %v", i+1, len(actions), err)
		}
	}
}

// Until waits until a JavaScript expression is true.
func Until(t *testing.T, window context.Context, expression string) {
	t.Helper()
	harness.Eventually(t, Patience, func() error {
		ctx, cancel := context.WithTimeout(window, Patience)
		defer cancel()
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && !holds {
			err = errors.New("it is false")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", expression, err)
		}
		return nil
	})
}
