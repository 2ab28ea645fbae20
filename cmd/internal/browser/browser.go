package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// limit is for one step. A browser that starts on a busy machine needs its time.
const (
	limit  = 20 * time.Second
	start  = 60 * time.Second
	width  = 1280
	height = 900
)

// Page is a tab. It belongs to the goroutine of its test.
type Page struct {
	tb     testing.TB
	ctx    context.Context // of the tab, which chromedp keeps in it
	dir    string
	log    *record
	closed chan struct{}
}

// New starts a headless browser that ends with the test, and opens an empty page
// of 1280 pixels in the light scheme. Pictures go to dir, which is made when it
// is needed; "" means a folder of the test's that does not outlive it. On a
// machine without Chromium the test is skipped, in CI it fails.
func New(tb testing.TB, dir string) *Page {
	tb.Helper()
	found := slices.ContainsFunc([]string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
	switch {
	case !found && os.Getenv("CI") == "true":
		tb.Fatal("browser: the Debian package chromium is missing")
	case !found:
		tb.Skip("chromium is missing; apt-get install chromium")
	}
	if dir == "" {
		dir = tb.TempDir()
	}
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, // tests run as root in containers, and only their own pages
		chromedp.DisableGPU,
		chromedp.Flag("disable-popup-blocking", false), // people have it too
		chromedp.WindowSize(width, height),
	)
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	tb.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc, chromedp.WithErrorf(func(string, ...any) {}))
	tb.Cleanup(cancel)
	// The first run must not have a limit of its own: the browser would end with
	// it.
	late := time.AfterFunc(start, cancel)
	p := open(ctx, tb, dir)
	late.Stop()
	return p
}

// open makes a Page of the tab of a context.
func open(ctx context.Context, tb testing.TB, dir string) *Page {
	tb.Helper()
	p := &Page{tb: tb, ctx: ctx, dir: dir, log: &record{documents: map[string]bool{}}, closed: make(chan struct{})}
	p.check(chromedp.Listen(ctx, p.log.hear), "open a page")
	id := chromedp.FromContext(ctx).Target.TargetID
	var once sync.Once
	p.check(chromedp.ListenBrowser(ctx, func(ev any) {
		if gone, ok := ev.(*target.EventTargetDestroyed); ok && gone.TargetID == id {
			once.Do(func() { close(p.closed) })
		}
	}), "open a page")
	p.do("watch the page", enable)
	p.Dark(false)
	return p
}

// enable turns on the reports that Violations is made of.
func enable(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
	if _, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{}); err != nil {
		return chromedp.Void{}, err
	}
	if _, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{}); err != nil {
		return chromedp.Void{}, err
	}
	_, err := cdp.Call(ctx, t, runtime.Enable, cdp.Empty{})
	return chromedp.Void{}, err
}

func (p *Page) check(err error, what string) {
	p.tb.Helper()
	if err != nil {
		p.tb.Fatalf("browser: %s: %v", what, err)
	}
}

// do runs a step within the limit. A step that fails leaves a picture.
func (p *Page) do(what string, step chromedp.Action[chromedp.Void]) {
	p.tb.Helper()
	run(p, what, step)
}

func run[T any](p *Page, what string, step chromedp.Action[T]) T {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	value, err := chromedp.Run(ctx, step)
	if err != nil {
		p.tb.Fatalf("browser: %s: %v\nat %s\nthe page says: %s\nthe browser says: %s", what, err, p.try(chromedp.Location()),
			p.try(chromedp.Evaluate[string](`document.body.innerText.slice(0, 2000)`)), strings.Join(p.Violations(), "\n"))
	}
	return value
}

// try runs a step for a message; what it cannot find out is left out.
func (p *Page) try(step chromedp.Action[string]) string {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	value, _ := chromedp.Run(ctx, step)
	return value
}

// Go opens an address and waits until it is loaded.
func (p *Page) Go(url string) {
	p.tb.Helper()
	p.do("go to "+url, chromedp.Navigate(url))
}

// Click clicks the first element that fits, as soon as it can be seen.
func (p *Page) Click(sel string) {
	p.tb.Helper()
	p.do("click "+sel, chromedp.Click(chromedp.CSS(sel)))
}

// Follow clicks and waits until the page to which that leads is loaded, through
// all redirects.
func (p *Page) Follow(sel string) {
	p.tb.Helper()
	run(p, "follow "+sel, chromedp.WaitEvent(page.LoadEventFired, nil, chromedp.Click(chromedp.CSS(sel))))
}

// Fill replaces what stands in a field by typing a text.
func (p *Page) Fill(sel, text string) {
	p.tb.Helper()
	p.Wait(sel)
	Evaluate[chromedp.Void](p, fmt.Sprintf(`document.querySelector(%q).select()`, sel))
	p.do("fill "+sel, chromedp.SendKeys(chromedp.CSS(sel), kb.Backspace+text))
}

// Select chooses an option of a list by its value.
func (p *Page) Select(sel, value string) {
	p.tb.Helper()
	p.do("select in "+sel, chromedp.SetValue(chromedp.CSS(sel), value, chromedp.NodeVisible))
	if got := p.Value(sel); got != value {
		p.tb.Fatalf("browser: %s has no option %q", sel, value)
	}
}

// Text returns what people read in the first element that fits, as soon as it
// can be seen.
func (p *Page) Text(sel string) string {
	p.tb.Helper()
	return run(p, "read "+sel, chromedp.Text(chromedp.CSS(sel), chromedp.NodeVisible))
}

// Value returns what stands in a field.
func (p *Page) Value(sel string) string {
	p.tb.Helper()
	return run(p, "read "+sel, chromedp.Value(chromedp.CSS(sel)))
}

// Wait waits until an element that fits can be seen.
func (p *Page) Wait(sel string) {
	p.tb.Helper()
	p.do("wait for "+sel, chromedp.WaitVisible(chromedp.CSS(sel)))
}

// WaitGone waits until no element fits.
func (p *Page) WaitGone(sel string) {
	p.tb.Helper()
	p.do("wait for the end of "+sel, chromedp.WaitNotPresent(chromedp.CSS(sel)))
}

// WaitText waits until the first element that fits shows a text, also across
// pages that follow each other.
func (p *Page) WaitText(sel, text string) {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	script := fmt.Sprintf(`(document.querySelector(%q)?.innerText ?? '').includes(%q)`, sel, text)
	for {
		// A page that is just leaving cannot be asked; its successor can.
		if found, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script)); err == nil && found {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.tb.Fatalf("browser: %s does not show %q\nat %s\nthe page says: %s", sel, text, p.try(chromedp.Location()),
				p.try(chromedp.Evaluate[string](`document.body.innerText.slice(0, 2000)`)))
		}
	}
}

// URL returns the address of the page.
func (p *Page) URL() string {
	p.tb.Helper()
	return run(p, "read the address", chromedp.Location())
}

// Evaluate returns the value of a JavaScript expression in the page.
func Evaluate[T any](p *Page, expression string) T {
	p.tb.Helper()
	return run(p, "evaluate "+expression, chromedp.Evaluate[T](expression))
}

// Popup returns the page that opens in a window of its own when trigger runs.
func (p *Page) Popup(trigger func()) *Page {
	p.tb.Helper()
	opener := chromedp.FromContext(p.ctx).Target.TargetID
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	found := chromedp.WaitNewTarget(ctx, func(info *target.Info) bool { return info.OpenerID == opener })
	trigger()
	select {
	case id, ok := <-found:
		if !ok {
			p.tb.Fatalf("browser: no window can open")
		}
		tab, end := chromedp.NewContext(p.ctx, chromedp.WithTargetID(id))
		p.tb.Cleanup(end)
		return open(tab, p.tb, p.dir)
	case <-ctx.Done():
		p.tb.Fatalf("browser: no window opened\nat %s", p.URL())
		return nil
	}
}

// CloseWith clicks what closes the page's window, and waits until it has.
func (p *Page) CloseWith(sel string) {
	p.tb.Helper()
	p.Wait(sel)
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Click(chromedp.CSS(sel))) // fails when the window is gone before the click is over
	select {
	case <-p.closed:
	case <-ctx.Done():
		p.tb.Fatalf("browser: the window stays open: %v\nat %s", err, p.URL())
	}
}

// Stranger opens a page for somebody else: nothing of this page's session is
// there.
func (p *Page) Stranger() *Page {
	p.tb.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithNewBrowserContext())
	p.tb.Cleanup(cancel)
	return open(ctx, p.tb, p.dir)
}

// Screenshot writes a picture of the whole page, however long it is, as name.png
// and returns its path.
func (p *Page) Screenshot(name string) string {
	p.tb.Helper()
	picture := run(p, "take a picture", chromedp.FullScreenshot(100))
	p.check(os.MkdirAll(p.dir, 0o750), "make the folder of pictures")
	file := filepath.Join(p.dir, filepath.Base(name)+".png")
	p.check(os.WriteFile(file, picture, 0o600), "write a picture")
	return file
}

// Dark makes the page believe that the person prefers the dark scheme, or the
// light one.
func (p *Page) Dark(on bool) {
	p.tb.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	p.do("change the scheme", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// Width gives the page a width in pixels, for example that of a telephone.
func (p *Page) Width(pixels int) {
	p.tb.Helper()
	p.do("change the width", chromedp.EmulateViewport(int64(pixels), height))
}

// Overflows tells whether the page is wider than its window, so that people have
// to scroll sideways.
func (p *Page) Overflows() bool {
	p.tb.Helper()
	return Evaluate[bool](p, `document.documentElement.scrollWidth > document.documentElement.clientWidth`)
}

// Violations returns what the browser has complained of on this page so far:
// exceptions, errors in the console, breaches of the content security policy,
// and what could not be loaded. A document that answers with an error, as a form
// that is refused does, is none.
func (p *Page) Violations() []string { return p.log.violations() }

// record keeps the complaints of a page. Its methods may be called from several
// goroutines.
type record struct {
	mu        sync.Mutex
	list      []complaint
	documents map[string]bool // addresses that were answered with a document
}

type complaint struct{ source, url, text string }

// hear is called with each event of the page, in order.
func (r *record) hear(ev any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventResponseReceived:
		if ev.Type == network.ResourceTypeDocument {
			r.documents[ev.Response.URL] = true
		}
	case *log.EventEntryAdded:
		if e := ev.Entry; e.Level == log.EntryLevelError {
			r.list = append(r.list, complaint{string(e.Source), e.URL, e.Text})
		}
	case *runtime.EventExceptionThrown:
		d := ev.ExceptionDetails
		text := d.Text
		if d.Exception != nil {
			text += " " + d.Exception.Description
		}
		r.list = append(r.list, complaint{"exception", d.URL, text})
	case *runtime.EventConsoleAPICalled:
		if ev.Type != runtime.ConsoleAPICalledTypeError && ev.Type != runtime.ConsoleAPICalledTypeAssert {
			return
		}
		var text []string
		for _, arg := range ev.Args {
			text = append(text, strings.Trim(string(arg.Value), `"`)+arg.Description)
		}
		r.list = append(r.list, complaint{"console", "", strings.Join(text, " ")})
	}
}

func (r *record) violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, c := range r.list {
		if c.source == string(log.EntrySourceNetwork) && r.documents[c.url] {
			continue
		}
		all = append(all, strings.TrimSpace(c.source+": "+c.text+" "+c.url))
	}
	return all
}
