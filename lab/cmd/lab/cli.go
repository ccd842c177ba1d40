package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line. A verb that has not landed is absent: asking for it
// is a usage error.
type cli struct {
	JSON  bool   `name:"json" help:"Print one JSON document on stdout; logs stay on stderr."`
	Seed  uint64 `help:"Seed of every random choice." default:"1"`
	State string `help:"Directory of running guests and their sockets." placeholder:"DIR" env:"LAB_STATE"`
	Quiet bool   `short:"q" help:"No progress on stderr."`

	Doctor doctorVerb `cmd:"" help:"Check this machine: QEMU, kernels, emulation, disk, ports."`
	Up     upVerb     `cmd:"" help:"Boot the fleet, run a campaign, serve the page."`
	Status statusVerb `cmd:"" help:"Show what runs."`
	Down   downVerb   `cmd:"" help:"Stop every guest and lab of this state directory."`
	Exec   execVerb   `cmd:"" help:"Run a static linux/arm64 program in a guest."`
	Run    runVerb    `cmd:"" help:"Run a Ginkgo suite of suites/ against guests."`

	Asm    asmVerb    `cmd:"" help:"eBPF text to bytes."`
	Disasm disasmVerb `cmd:"" help:"eBPF bytes to text."`
	Verify verifyVerb `cmd:"" help:"Our verifier on assembly text or an ELF object."`
	Bpf    bpfVerb    `cmd:"" name:"bpf" help:"One program outside any kernel."`
	Fuzz   fuzzVerb   `cmd:"" help:"A fuzz target, from a seed."`
	Wasm   wasmVerb   `cmd:"" help:"WebAssembly modules: run, validate, conformance scripts."`

	Bench   benchVerb   `cmd:"" help:"Instructions per operation on each target."`
	Ledger  ledgerVerb  `cmd:"" help:"List what was decided; check chain and signatures."`
	Judge   judgeVerb   `cmd:"" help:"Decide a stored record again from its samples."`
	Console consoleVerb `cmd:"" help:"A guest's serial console."`
	GDB     gdbVerb     `cmd:"" name:"gdb" help:"A debugger on a guest, with symbols."`
	Trace   traceVerb   `cmd:"" help:"What a live guest decides, and its packets."`
}

// env is what a verb works with.
type env struct {
	cli
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// logf prints one line of progress or diagnosis to stderr.
func (e *env) logf(format string, a ...any) {
	if !e.Quiet {
		fmt.Fprintf(e.stderr, format+"\n", a...)
	}
}

// printf prints for people on stdout; with --json the document is all there is.
func (e *env) printf(format string, a ...any) {
	if !e.JSON {
		fmt.Fprintf(e.stdout, format, a...)
	}
}

// document prints v as the one JSON document when --json was given.
func (e *env) document(v any) error {
	if !e.JSON {
		return nil
	}
	encoder := json.NewEncoder(e.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return infra("writing the JSON document: %w", err)
	}
	return nil
}

const description = `Boots fleets of our ARM64 kernel beside Linux and lets nothing through that does not win.

Exit codes: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 infrastructure.`

// execute parses and runs one command line and returns the exit code.
func execute(arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var line cli
	helped := false
	parser, err := kong.New(&line,
		kong.Name("lab"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true; panic(helpShown{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintf(stderr, "lab: %v\n", err)
		return exitInfra
	}
	parsed, err := parse(parser, arguments)
	if helped {
		return exitPass
	}
	if err != nil {
		fmt.Fprintf(stderr, "lab: %v\nTry: lab --help\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	e := &env{cli: line, ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}
	err = parsed.Run(e)
	var typed *verdictError
	if err != nil && !(errors.As(err, &typed) && typed.silent) {
		fmt.Fprintf(stderr, "lab: %v\n", err)
	}
	return exitCode(err)
}

// helpShown unwinds kong once it has printed the help text: its Exit hook is
// expected not to return.
type helpShown struct{}

func parse(parser *kong.Kong, arguments []string) (parsed *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(helpShown); !ok {
				panic(r)
			}
		}
	}()
	return parser.Parse(arguments)
}
