package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

// sectionNames are the templates that make the page, in its order; each is an
// event of the stream and the id of an element.
var sectionNames = []string{"headline", "steps", "plot", "candidates", "fleet", "kernel", "facts"}

var templates = template.Must(template.New("page").Funcs(template.FuncMap{
	"thousands": thousands,
	"seconds":   seconds,
	"figure":    func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"symbol":    symbol,
	"percent":   percent,
	"drawing":   func(p Plot) template.HTML { return template.HTML(draw(p)) },
	"delta":     delta,
	"newest":    newest,
}).ParseFS(assets, "assets/*.html"))

// render makes every section.
func render(s *State) (map[string]string, error) {
	fragments := map[string]string{}
	for _, name := range sectionNames {
		var b strings.Builder
		if err := templates.ExecuteTemplate(&b, name, s); err != nil {
			return nil, err
		}
		fragments[name] = b.String()
	}
	return fragments, nil
}

// thousands groups digits with thin spaces, so that a count can be read.
func thousands(n uint64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString("\u202f")
		}
		b.WriteRune(digit)
	}
	return b.String()
}

func seconds(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// symbol stands beside every colour: nobody has to see red.
func symbol(state string) string {
	switch state {
	case MarkPassed, string(StepDone), "pass", "kept", "installed", "accepted", "ready":
		return "✓"
	case MarkRefused, string(StepFailed), "fail", "rolled-back":
		return "✕"
	case "inconclusive", "infra", "spinning":
		return "!"
	case string(StepRunning), "starting", "canary":
		return "…"
	}
	return "·"
}

func percent(done, total int) int {
	if total <= 0 {
		return 0
	}
	return 100 * done / total
}

// delta is the change against the baseline, signed.
func delta(value, baseline float64) string {
	if baseline == 0 || value == 0 {
		return ""
	}
	return fmt.Sprintf("%+.1f %%", 100*(value/baseline-1))
}

// newest reverses the records: the latest word stands on top.
func newest(records []Record) []Record {
	reversed := slices.Clone(records)
	slices.Reverse(reversed)
	return reversed
}
