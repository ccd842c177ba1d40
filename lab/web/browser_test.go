package web

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser starts a headless Chromium with a profile of its own, or skips.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("NOT TESTED: the page was not opened in a browser, because chromium is missing (apt-get install chromium)")
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox,
		chromedp.NoFirstRun, chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
	}
	deadline, cancelDeadline := context.WithTimeout(context.Background(), 2*time.Minute)
	allocator, cancelAllocator := chromedp.NewExecAllocator(deadline, options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { cancel(); cancelAllocator(); cancelDeadline() })
	return ctx
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func await(t *testing.T, ctx context.Context, what, expression string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(15*time.Second))); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestBrowser opens the page, changes the state under it and looks again.
func TestBrowser(t *testing.T) {
	ctx := browser(t)
	page := NewPage()
	page.Update(sample)
	server := httptest.NewServer(page.Handler())
	defer server.Close()
	err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	if rows := evaluate[int](t, ctx, `document.querySelectorAll("#fleet tbody tr").length`); rows != 4 {
		t.Errorf("%d rows in the fleet table, want 4", rows)
	}
	if arms := evaluate[int](t, ctx, `document.querySelectorAll("#plot svg g.arm").length`); arms != 6 {
		t.Errorf("%d arms in the plot, want 6", arms)
	}
	if scripts := evaluate[int](t, ctx, `document.scripts.length`); scripts != 1 {
		t.Errorf("%d scripts in the page, want 1", scripts)
	}
	// What the reader has opened stays open, and focus stays, when news arrive.
	evaluate[bool](t, ctx, `(() => { const d = document.getElementById("text-mutant-1"); d.open = true; d.querySelector("summary").focus(); return true })()`)
	page.Update(func(s *State) {
		s.Campaign.Headline, s.Campaign.Verdict = "Promoted mutant-1: 902.7 instructions per packet, 59.2 % below the default", "pass"
		s.Candidates[0].Marks[4] = Mark{Stage: "canary", State: MarkPassed}
		s.Fleet[3].State = "ready"
	})
	await(t, ctx, "the headline did not arrive", `document.querySelector("h1").textContent.startsWith("Promoted mutant-1")`)
	await(t, ctx, "the candidate did not change", `document.querySelectorAll("#candidates .marks .pending").length === 0`)
	if !evaluate[bool](t, ctx, `document.getElementById("text-mutant-1").open && document.activeElement.tagName === "SUMMARY"`) {
		t.Error("an update closed what the reader had opened, or took his focus")
	}
	if said := evaluate[string](t, ctx, `document.getElementById("live").textContent`); !strings.HasPrefix(said, "Promoted mutant-1") {
		t.Errorf("a screen reader hears %q", said)
	}
	if outside := evaluate[int](t, ctx, `performance.getEntriesByType("resource").filter((r) => !r.name.startsWith(location.origin)).length`); outside != 0 {
		t.Errorf("%d resources came from outside", outside)
	}
	if wide := evaluate[bool](t, ctx, `document.documentElement.scrollWidth <= innerWidth`); !wide {
		t.Error("the page is wider than its window")
	}
	screenshots(t, ctx)
	server.CloseClientConnections()
	server.Close()
	await(t, ctx, "a dead lab was not noticed", `document.body.classList.contains("stale")`)
}

// screenshots are kept as artefacts: light, dark, and a telephone.
func screenshots(t *testing.T, ctx context.Context) {
	t.Helper()
	if err := os.MkdirAll("out", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, scheme string
		width        int64
	}{{"page-light.png", "light", 1280}, {"page-dark.png", "dark", 1280}, {"page-narrow.png", "light", 400}} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: c.scheme}}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(c.width, 900)); err != nil {
			t.Fatal(err)
		}
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if len(picture) < 10_000 {
			t.Errorf("%s has %d bytes: an empty page?", c.name, len(picture))
		}
		if err := os.WriteFile(filepath.Join("out", c.name), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
