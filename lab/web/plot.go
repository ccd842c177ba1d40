package web

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The plot is one row per arm on one axis: a dot at the figure, a whisker from
// the lowest to the highest repeat (a plain tick when they were equal to the
// instruction), a line through all rows at the default and one at the floor.
//
//	label | ........|floor........o.............|default...o........ | figure
const (
	plotWidth   = 960
	plotLeft    = 210 // labels end here
	plotRight   = 800 // figures begin here
	rowHeight   = 30
	plotTop     = 46
	plotBottom  = 40
	axisTicks   = 6
	labelLength = 24
)

// draw makes the SVG. Text is escaped here: names come from files and guests.
func draw(p Plot) string {
	if len(p.Arms) == 0 {
		return ""
	}
	step, top := axis(p)
	height := plotTop + rowHeight*len(p.Arms) + plotBottom
	at := func(v float64) float64 { return plotLeft + v/top*(plotRight-plotLeft) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-labelledby="plot-title plot-text" class="plot">`, plotWidth, height)
	fmt.Fprintf(&b, `<title id="plot-title">A/B result</title><desc id="plot-text">%s</desc>`, html.EscapeString(describe(p)))
	drawAxis(&b, p, step, top, at, height)
	for i, arm := range p.Arms {
		drawArm(&b, p, arm, plotTop+float64(rowHeight)*(float64(i)+0.5), at)
	}
	b.WriteString("</svg>")
	return b.String()
}

// axis chooses a step of 1, 2, 2.5 or 5 times a power of ten so that at most
// axisTicks of them reach above everything shown.
func axis(p Plot) (step, top float64) {
	highest := math.Max(p.Baseline, p.Floor)
	for _, arm := range p.Arms {
		highest = math.Max(highest, math.Max(arm.High, arm.Value))
	}
	if highest <= 0 {
		return 1, 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(highest))-1)
	for _, factor := range []float64{1, 2, 2.5, 5, 10, 20} {
		step = unit * factor
		if steps := math.Ceil(highest / step); steps <= axisTicks {
			return step, steps * step
		}
	}
	return highest, highest
}

func drawAxis(b *strings.Builder, p Plot, step, top float64, at func(float64) float64, height int) {
	bottom := height - plotBottom
	for v := 0.0; v <= top*1.0001; v += step {
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, at(v), plotTop-6, at(v), bottom)
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%d">%s</text>`, at(v), bottom+16, thousands(uint64(math.Round(v))))
	}
	fmt.Fprintf(b, `<text class="unit" x="%d" y="%d">%s</text>`, (plotLeft+plotRight)/2, bottom+33, html.EscapeString(p.Unit))
	// The two reference labels stand apart even when the lines are close.
	reference := func(name, class, anchor string, v, shift float64) {
		if v <= 0 {
			return
		}
		fmt.Fprintf(b, `<line class="reference %s" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, class, at(v), plotTop-14, at(v), bottom)
		fmt.Fprintf(b, `<text class="reference-label %s" text-anchor="%s" x="%.1f" y="%d">%s %.1f</text>`, class, anchor, at(v)+shift, plotTop-20, name, v)
	}
	reference("floor", "floor", "end", p.Floor, 4)
	reference("default", "baseline", "start", p.Baseline, -4)
}

func drawArm(b *strings.Builder, p Plot, arm Arm, y float64, at func(float64) float64) {
	class := "arm " + safeClass(arm.Role) + " " + safeClass(arm.Verdict)
	name := arm.Name
	if runes := []rune(name); len(runes) > labelLength {
		name = string(runes[:labelLength-1]) + "…"
	}
	fmt.Fprintf(b, `<g class="%s"><title>%s</title>`, class, html.EscapeString(arm.Name+": "+arm.Reason))
	fmt.Fprintf(b, `<text class="name" x="%d" y="%.1f">%s</text>`, plotLeft-14, y+4, html.EscapeString(name))
	if arm.Value <= 0 {
		fmt.Fprintf(b, `<text class="value" x="%d" y="%.1f">%s</text></g>`, plotRight+14, y+4, html.EscapeString(orElse(arm.Verdict, "waiting")))
		return
	}
	fmt.Fprintf(b, `<line class="stem" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, at(0), y, at(arm.Value), y)
	fmt.Fprintf(b, `<line class="whisker" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, at(arm.Low), y, at(arm.High), y)
	for _, end := range []float64{arm.Low, arm.High} {
		fmt.Fprintf(b, `<line class="whisker" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, at(end), y-8, at(end), y+8)
	}
	if arm.Verdict == "fail" || arm.Verdict == "infra" || arm.Verdict == "inconclusive" {
		x := at(arm.Value)
		fmt.Fprintf(b, `<path class="cross" d="M%.1f %.1fl10 10m0 -10l-10 10"/>`, x-5, y-5)
	} else {
		fmt.Fprintf(b, `<circle class="dot" cx="%.1f" cy="%.1f" r="5.5"/>`, at(arm.Value), y)
	}
	fmt.Fprintf(b, `<text class="value" x="%d" y="%.1f">%.1f <tspan class="delta">%s</tspan></text></g>`,
		plotRight+14, y+4, arm.Value, html.EscapeString(delta(arm.Value, p.Baseline)))
}

// describe is the plot in words.
func describe(p Plot) string {
	var parts []string
	for _, arm := range p.Arms {
		if arm.Value > 0 {
			parts = append(parts, fmt.Sprintf("%s %.1f %s", arm.Name, arm.Value, arm.Verdict))
		}
	}
	return fmt.Sprintf("%s. Default %.1f, floor %.1f. %s.", p.Unit, p.Baseline, p.Floor, strings.Join(parts, "; "))
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// safeClass keeps words that may stand in a class attribute.
func safeClass(word string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r == '-' || r == ' ' {
			return r
		}
		return -1
	}, word)
}
