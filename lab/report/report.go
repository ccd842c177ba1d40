// Package report turns what a dying guest printed into findings with a title
// that stays the same from run to run, so that two logs of one bug compare
// equal: addresses, counts and times are left out of titles.
//
// It reads the panic and fault blocks of our kernel (kernel/core/trap) and the
// panics, oopses, bugs and warnings of Linux. Logs are foreign input: lines and
// findings are bounded, and what does not parse is left out, never guessed.
package report

import (
	"regexp"
	"strconv"
	"strings"
)

// Kind of a finding.
type Kind string

const (
	KindPanic     Kind = "panic"     // our kernel gave up
	KindContained Kind = "contained" // a service of ours was stopped and reset
	KindOops      Kind = "oops"      // Linux: a fault in the kernel
	KindBug       Kind = "bug"       // Linux: BUG, lockup or stall
	KindWarning   Kind = "warning"   // Linux: WARN_ON
)

// Frame is one line of a back trace.
type Frame struct {
	Function string `json:"function"`
	Offset   uint64 `json:"offset"`
}

// Finding is one thing that went wrong.
type Finding struct {
	Kind      Kind              `json:"kind"`
	Title     string            `json:"title"`
	Function  string            `json:"function,omitempty"` // where it happened
	CPU       int               `json:"cpu"`                // -1 = unknown
	Thread    string            `json:"thread,omitempty"`
	Service   string            `json:"service,omitempty"`
	Frames    []Frame           `json:"frames"`
	Registers map[string]string `json:"registers,omitempty"`
	FirstLine int               `json:"first_line"` // of the log, from 1
	LastLine  int               `json:"last_line"`
	Complete  bool              `json:"complete"` // its last line was seen

	reason string // first line without addresses
}

const (
	linesMax    = 100000
	findingsMax = 64
	framesMax   = 128
)

// Parse returns the findings of a log in order.
func Parse(log []byte) []Finding {
	p := parser{}
	number := 0
	for line := range strings.Lines(string(log)) {
		if number++; number > linesMax || len(p.findings) > findingsMax {
			break
		}
		p.line(number, strings.TrimRight(line, "\r\n"))
	}
	for i := range p.findings {
		p.findings[i].title()
	}
	return p.findings
}

// parser keeps the finding that is being read.
type parser struct {
	findings []Finding
	open     bool // the last finding may take more lines
	trace    bool // Linux: after "Call trace:"
}

func (p *parser) begin(number int, kind Kind, reason string) *Finding {
	p.findings = append(p.findings, Finding{Kind: kind, reason: scrub(reason), CPU: -1, Frames: []Frame{},
		Registers: map[string]string{}, FirstLine: number, LastLine: number})
	p.open, p.trace = true, false
	return p.current()
}

func (p *parser) current() *Finding { return &p.findings[len(p.findings)-1] }

func (p *parser) end(number int) {
	p.current().LastLine, p.current().Complete = number, true
	p.open = false
}

func (p *parser) line(number int, line string) {
	switch {
	case strings.HasPrefix(line, "panic: "):
		p.panicLine(number, line[len("panic: "):])
	case strings.HasPrefix(line, "fault: "):
		p.faultLine(number, line[len("fault: "):])
	default:
		p.linuxLine(number, linuxStamp.ReplaceAllString(line, ""))
	}
}

// Lines of our kernel's blocks, as kernel/core/trap prints them.
var (
	panicPlace   = regexp.MustCompile(`^cpu (\d+) thread (\S+) service (\S+) `)
	panicCode    = regexp.MustCompile(`^(pc|lr) ([0-9a-f]+)(?: (\S+)\+([0-9a-f]+))?$`)
	panicFrame   = regexp.MustCompile(`^from [0-9a-f]+(?: (\S+)\+([0-9a-f]+))?$`)
	registerPair = regexp.MustCompile(`\b(x\d+|esr|far|spsr|sp) ([0-9a-f]+)\b`)
	faultPlace   = regexp.MustCompile(`^service (\S+) on cpu (\d+) in (\S+)\+([0-9a-f]+), cause (\d+), esr ([0-9a-f]+), far ([0-9a-f]+)$`)
	faultFrame   = regexp.MustCompile(`^  from (\S+)\+([0-9a-f]+)$`)
)

func (p *parser) panicLine(number int, text string) {
	if !p.open || p.current().Kind != KindPanic {
		p.begin(number, KindPanic, "panic: "+text)
		return
	}
	f := p.current()
	f.LastLine = number
	switch {
	case text == "end":
		p.end(number)
	case panicPlace.MatchString(text):
		m := panicPlace.FindStringSubmatch(text)
		f.CPU, f.Thread, f.Service = number32(m[1]), m[2], m[3]
	case panicCode.MatchString(text):
		m := panicCode.FindStringSubmatch(text)
		f.Registers[m[1]] = m[2]
		if m[1] == "pc" {
			f.frame(m[3], m[4])
		}
	case panicFrame.MatchString(text):
		m := panicFrame.FindStringSubmatch(text)
		f.frame(m[1], m[2])
	default:
		for _, m := range registerPair.FindAllStringSubmatch(text, -1) {
			f.Registers[m[1]] = m[2]
		}
	}
}

func (p *parser) faultLine(number int, text string) {
	if m := faultPlace.FindStringSubmatch(text); m != nil {
		f := p.begin(number, KindContained, "contained fault")
		f.Service, f.CPU = m[1], number32(m[2])
		f.frame(m[3], m[4])
		f.Registers["esr"], f.Registers["far"] = m[6], m[7]
		f.Complete = true
		return
	}
	if m := faultFrame.FindStringSubmatch(text); m != nil && p.open && p.current().Kind == KindContained {
		p.current().LastLine = number
		p.current().frame(m[1], m[2])
	}
}

// Lines of Linux, without their time stamp.
var (
	linuxStamp    = regexp.MustCompile(`^\[ *\d+\.\d+\](?:\[[^\]]*\])? `)
	linuxPlace    = regexp.MustCompile(`^CPU: (\d+) .*\bComm: (\S+) `)
	linuxCode     = regexp.MustCompile(`^(pc|lr) : (\S+)\+0x([0-9a-f]+)/`)
	linuxFrame    = regexp.MustCompile(`^ (\S+)\+0x([0-9a-f]+)/0x[0-9a-f]+`)
	linuxRegister = regexp.MustCompile(`\b(x\d+) ?: ([0-9a-f]{16})\b`)
	linuxWarning  = regexp.MustCompile(`^WARNING: CPU: (\d+) PID: \d+ at (\S+):\d+ (\S+)\+0x([0-9a-f]+)/`)
	linuxStarts   = []struct {
		text string
		kind Kind
	}{
		{"Unable to handle kernel ", KindOops}, {"Internal error: ", KindOops}, {"Kernel panic - not syncing: ", KindPanic},
		{"watchdog: BUG: ", KindBug}, {"BUG: ", KindBug}, {"kernel BUG at ", KindBug}, {"rcu: INFO: ", KindBug}, {"INFO: task ", KindBug},
	}
)

func (p *parser) linuxLine(number int, text string) {
	if p.linuxBegins(number, text) || !p.open || p.current().Kind == KindContained {
		return
	}
	f := p.current()
	switch {
	case strings.HasPrefix(text, "---[ end "):
		p.end(number)
		return
	case text == "Call trace:":
		p.trace = true
	case linuxPlace.MatchString(text):
		m := linuxPlace.FindStringSubmatch(text)
		f.CPU, f.Thread = number32(m[1]), m[2]
	case linuxCode.MatchString(text):
		m := linuxCode.FindStringSubmatch(text)
		f.Registers[m[1]] = m[2]
		if m[1] == "pc" && f.Function == "" {
			f.Function = m[2]
		}
	case p.trace && linuxFrame.MatchString(text):
		m := linuxFrame.FindStringSubmatch(text)
		f.frame(m[1], m[2])
	default:
		found := linuxRegister.FindAllStringSubmatch(text, -1)
		for _, m := range found {
			f.Registers[m[1]] = m[2]
		}
		if len(found) == 0 {
			p.trace = false
			return // between the parts of a block
		}
	}
	f.LastLine = number
}

// linuxBegins starts a finding. The parts of one oops, and the panic that
// follows it, are one finding.
func (p *parser) linuxBegins(number int, text string) bool {
	if m := linuxWarning.FindStringSubmatch(text); m != nil {
		f := p.begin(number, KindWarning, "WARNING at "+m[2])
		f.CPU, f.Function = number32(m[1]), m[3]
		return true
	}
	for _, start := range linuxStarts {
		if !strings.HasPrefix(text, start.text) {
			continue
		}
		follows := len(p.findings) > 0 && p.current().Kind == KindOops &&
			(p.open || strings.HasPrefix(text, "Kernel panic"))
		if follows {
			p.current().LastLine = number
			p.open = true
			return true
		}
		p.begin(number, start.kind, text)
		return true
	}
	return false
}

func (f *Finding) frame(function, offset string) {
	if function == "" || len(f.Frames) >= framesMax {
		return
	}
	value, err := strconv.ParseUint(offset, 16, 64)
	if err != nil {
		return
	}
	f.Frames = append(f.Frames, Frame{function, value})
}

// reporters are functions that report a fault; the frame below them is where it
// happened.
var reporters = map[string]bool{"dump_backtrace": true, "show_stack": true, "dump_stack_lvl": true, "dump_stack": true,
	"panic": true, "die": true, "kernel_panic": true, "runtime.lookupPanic": true, "runtime.runtimePanicAt": true}

// title names kind, reason and place: what two runs of one bug have in common.
func (f *Finding) title() {
	for _, frame := range f.Frames {
		if f.Function == "" && !reporters[frame.Function] {
			f.Function = frame.Function
		}
	}
	f.Title = f.reason
	if f.Function != "" {
		f.Title += " in " + f.Function
	}
	if f.Kind == KindContained {
		f.Title += " (service " + f.Service + ")"
	}
}

// scrub replaces what differs from run to run.
var volatile = regexp.MustCompile(`0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\b\d+(?:\.\d+)?\b`)

func scrub(text string) string { return volatile.ReplaceAllString(text, "N") }

func number32(text string) int {
	value, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return -1
	}
	return int(value)
}
