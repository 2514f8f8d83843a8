//go:build integration

package ui

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	window "collector/test/browser"
	"collector/test/harness"
)

const waiting = window.Patience

// browser is a window of a real Chromium. It fails its test for whatever a page
// complains about, and for a request to another host than the collector's.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string // without a slash at its end

	clicks int // since open

	mu       sync.Mutex
	requests int
	trouble  []string
	allowed  func(trouble string) bool // errors that a test provokes itself
}

func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	b := &browser{t: t, base: strings.TrimSuffix(base, "/"), allowed: func(string) bool { return false }}
	b.ctx = window.Start(t, chromedp.WithListener(b.hear))
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	b.size(1440, 900)
	t.Cleanup(b.check)
	return b
}

// hear records errors.
func (b *browser) hear(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.mu.Lock()
		b.requests++
		b.mu.Unlock()
		if at, err := url.Parse(e.Request.URL); err != nil || at.Scheme != "data" && at.Scheme != "blob" && !strings.HasPrefix(e.Request.URL, b.base) {
			b.note("a request to another host: %s", e.Request.URL)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.note("the browser says: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.note("the console says: %v", e.Args)
		}
	case *runtime.EventExceptionThrown:
		b.note("a script fails: %v", e.ExceptionDetails)
	}
}

func (b *browser) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trouble = append(b.trouble, fmt.Sprintf(format, args...))
}

func (b *browser) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests == 0 {
		b.t.Error("no request has been seen: the test watches nothing")
	}
	for _, trouble := range b.trouble {
		if !b.allowed(trouble) {
			b.t.Error(trouble)
		}
	}
}

// limited is a context for one action.
func (b *browser) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, waiting)
}

// do runs actions one after the other, and fails the test if one fails.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for i, action := range actions {
		ctx, cancel := b.limited()
		err := chromedp.Do(ctx, action)
		cancel()
		if err != nil {
			b.t.Fatalf("action %d of %d: %v\n%s", i+1, len(actions), err, b.text())
		}
	}
}

// call gives the answer to a command of the browser's own protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// text is the page's text, for error messages.
func (b *browser) text() (text string) {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	text, _ = chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	return text
}

// open navigates to a path below the base.
func (b *browser) open(path string) {
	b.t.Helper()
	b.clicks = 0
	b.do(chromedp.Navigate(b.base + path))
}

// eval gives the value of a JavaScript expression.
func eval[T any](b *browser, expression string) (value T) {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", expression, err, b.text())
	}
	return value
}

// until waits until a JavaScript expression is true. Pages may be replaced
// while it waits.
func (b *browser) until(expression string) {
	b.t.Helper()
	b.untilWithin(waiting, expression)
}

func (b *browser) untilWithin(limit time.Duration, expression string) {
	b.t.Helper()
	harness.Eventually(b.t, limit, func() error {
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		defer cancel()
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err != nil {
			return fmt.Errorf("%s: %w", expression, err)
		}
		if !holds {
			return fmt.Errorf("not so: %s\n%s", expression, b.text())
		}
		return nil
	})
}

// click clicks the element that a JavaScript expression finds, once there is one.
func (b *browser) click(found string) {
	b.t.Helper()
	b.until(found)
	b.clicks++
	eval[bool](b, "("+found+".click(), true)")
}

// follow clicks a link or button and waits until its path is there.
func (b *browser) follow(selector, path string) {
	b.t.Helper()
	b.clicks++
	b.do(chromedp.Click(chromedp.CSS(selector)))
	b.until(fmt.Sprintf("document.readyState === 'complete' && location.pathname.startsWith(%q)", path))
}

func (b *browser) size(width, height int64) {
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 700})
}

// scheme sets the system's color scheme to light or dark.
func (b *browser) scheme(name string) {
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// login answers when the collector asks for a password.
func (b *browser) login(user, password string) {
	answer := &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: user, Password: password}
	err := chromedp.Listen(b.ctx, func(event any) {
		switch e := event.(type) {
		case *fetch.EventRequestPaused:
			go func() {
				_, _ = chromedp.Call(b.ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID})
			}()
		case *fetch.EventAuthRequired:
			go func() {
				_, _ = chromedp.Call(b.ctx, fetch.ContinueWithAuth, fetch.ContinueWithAuthParams{RequestID: e.RequestID, AuthChallengeResponse: answer})
			}()
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	yes := true
	call(b, fetch.Enable, fetch.EnableParams{HandleAuthRequests: &yes})
}
