// The lab's page: what it serves, and the events that keep it live.

package web

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// updateInterval bounds how often a reader gets news: fast enough to feel
// live, slow enough for a campaign that reports from dozens of guests.
const updateInterval = 150 * time.Millisecond

// keepAliveInterval makes proxies and browsers keep a quiet stream open.
const keepAliveInterval = 15 * time.Second

// Handler serves the page at / and its news at /events.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.serveDocument)
	mux.HandleFunc("GET /events", p.serveEvents)
	mux.Handle("GET /assets/", http.FileServerFS(assets))
	return headers(mux)
}

// headers keep the page to itself: nothing is loaded from anywhere else.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (p *Page) serveDocument(w http.ResponseWriter, _ *http.Request) {
	fragments, _, _, err := p.sections()
	if err != nil {
		http.Error(w, "the page could not be rendered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	safe := map[string]template.HTML{}
	for name, text := range fragments {
		safe[name] = template.HTML(text) // made by our own templates, which escape
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := templates.ExecuteTemplate(w, "document", safe); err != nil {
		fmt.Fprintf(w, "<p>the page could not be rendered: %s</p>", template.HTMLEscapeString(err.Error()))
	}
}

// serveEvents sends each section when it changed. A reader that comes back
// gets every section once, so nothing is lost by a reload.
func (p *Page) serveEvents(w http.ResponseWriter, r *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "streaming is not possible here", http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	sent := map[string]string{}
	keepAlive := time.NewTicker(keepAliveInterval)
	defer keepAlive.Stop()
	for {
		fragments, version, changed, err := p.sections()
		if err != nil {
			return
		}
		for _, name := range sectionNames {
			if sent[name] == fragments[name] {
				continue
			}
			sent[name] = fragments[name]
			if writeEvent(w, name, version, fragments[name]) != nil {
				return
			}
		}
		flusher.Flush()
		if !wait(r, w, flusher, changed, keepAlive.C) {
			return
		}
	}
}

// wait returns at the next change, or false when the reader has gone.
func wait(r *http.Request, w http.ResponseWriter, flusher http.Flusher, changed <-chan struct{}, keepAlive <-chan time.Time) bool {
	for {
		select {
		case <-r.Context().Done():
			return false
		case <-keepAlive:
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil {
				return false
			}
			flusher.Flush()
		case <-changed:
			select {
			case <-r.Context().Done():
				return false
			case <-time.After(updateInterval):
				return true
			}
		}
	}
}

func writeEvent(w http.ResponseWriter, name string, version uint64, text string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "event: %s\nid: %d\n", name, version)
	for _, line := range strings.Split(text, "\n") {
		b.WriteString("data: " + line + "\n")
	}
	b.WriteString("\n")
	_, err := w.Write([]byte(b.String()))
	return err
}
