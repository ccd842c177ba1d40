package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/wasm"
)

// wasmSpectestVerb runs one script: modules, and what they must do.
type wasmSpectestVerb struct {
	File string `arg:"" type:"existingfile" help:"Script in JSON; the modules lie beside it."`
	Fuel int64  `help:"Fuel of each action." default:"4000000000"`
}

func (wasmSpectestVerb) Help() string {
	return "Skipped are assertions about the text format, which no engine of binaries can judge.\n\nExample:\n\n  wast2json -o i32.json i32.wast && lab wasm spectest i32.json"
}

func (v *wasmSpectestVerb) Run(e *env) error {
	result, err := runScript(v.File, v.Fuel)
	if err != nil {
		return infra("%w", err)
	}
	for _, failure := range result.Failures {
		e.printf("%s\n", failure)
	}
	e.printf("%s: %d passed, %d failed, %d skipped\n", v.File, result.Passed, result.Failed, result.Skipped)
	if err := e.document(result); err != nil {
		return err
	}
	switch {
	case result.Failed > 0:
		return exitWith(exitFail)
	case result.Passed == 0:
		return inconclusive("%s holds no assertion that could be run", v.File)
	}
	return nil
}

// scriptResult is what a script came to.
type scriptResult struct {
	File     string   `json:"file"`
	Passed   int      `json:"passed"`
	Failed   int      `json:"failed"`
	Skipped  int      `json:"skipped"`
	Failures []string `json:"failures"`
}

// scriptValue and the types below are wast2json's format.
type scriptValue struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type scriptAction struct {
	Type   string        `json:"type"`
	Module string        `json:"module"`
	Field  string        `json:"field"`
	Args   []scriptValue `json:"args"`
}

type scriptCommand struct {
	Type       string        `json:"type"`
	Line       int           `json:"line"`
	Name       string        `json:"name"`
	Filename   string        `json:"filename"`
	Text       string        `json:"text"`
	ModuleType string        `json:"module_type"`
	As         string        `json:"as"`
	Action     scriptAction  `json:"action"`
	Expected   []scriptValue `json:"expected"`
}

// scriptRun is the state between commands.
type scriptRun struct {
	folder  string
	fuel    int64
	machine *wasm.Machine
	current *wasm.Instance
	named   map[string]*wasm.Instance
	offered map[string]func(name string) (wasm.Extern, bool)
}

func runScript(path string, fuel int64) (*scriptResult, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var script struct{ Commands []scriptCommand }
	if err := json.Unmarshal(data, &script); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := &scriptRun{folder: filepath.Dir(path), fuel: fuel, machine: wasm.NewMachine(wasm.HostSizes),
		named: map[string]*wasm.Instance{}, offered: map[string]func(string) (wasm.Extern, bool){"spectest": spectestModule()}}
	result := &scriptResult{File: path, Failures: []string{}}
	for _, command := range script.Commands {
		if command.ModuleType == "text" {
			result.Skipped++
			continue
		}
		if problem := r.step(&command); problem != "" {
			result.Failed++
			result.Failures = append(result.Failures, fmt.Sprintf("line %d: %s: %s", command.Line, command.Type, problem))
		} else if strings.HasPrefix(command.Type, "assert_") {
			result.Passed++
		}
	}
	return result, nil
}

// step runs one command and returns what is wrong, or nothing.
func (r *scriptRun) step(c *scriptCommand) string {
	switch c.Type {
	case "module":
		instance, code := r.instantiate(c.Filename)
		r.current = instance
		if code != abi.OK {
			r.current = nil
			return code.String()
		}
		if c.Name != "" {
			r.named[c.Name] = instance
		}
		return ""
	case "register":
		return r.register(c)
	case "action":
		_, code := r.act(&c.Action)
		return problemOf(code)
	case "assert_return":
		return r.assertReturn(c)
	case "assert_trap", "assert_exhaustion":
		_, code := r.act(&c.Action)
		return wantTrap(code, c.Text)
	case "assert_malformed", "assert_invalid":
		if code := r.load(c.Filename, new(wasm.Module)); code == abi.OK {
			return "accepted, want: " + c.Text
		}
		return ""
	case "assert_unlinkable":
		if _, code := r.instantiate(c.Filename); code != abi.ErrWasmImport && code != abi.ErrWasmSegment {
			return fmt.Sprintf("%s, want: %s", code, c.Text)
		}
		return ""
	case "assert_uninstantiable":
		_, code := r.instantiate(c.Filename)
		return wantTrap(code, c.Text)
	}
	return "unknown command"
}

func problemOf(code abi.Code) string {
	if code == abi.OK {
		return ""
	}
	return code.String()
}

// trapTexts are the specification's words for our reasons.
var trapTexts = map[abi.Code][]string{
	abi.ErrTrapUnreachable: {"unreachable"},
	abi.ErrTrapMemory:      {"out of bounds memory access"},
	abi.ErrWasmSegment:     {"out of bounds"},
	abi.ErrTrapDivide:      {"integer divide by zero"},
	abi.ErrTrapOverflow:    {"integer overflow"},
	abi.ErrTrapConversion:  {"invalid conversion to integer"},
	abi.ErrTrapTable:       {"undefined element"},
	abi.ErrTrapNull:        {"uninitialized"},
	abi.ErrTrapSignature:   {"indirect call"},
	abi.ErrTrapStack:       {"call stack exhausted"},
}

func wantTrap(code abi.Code, text string) string {
	for _, words := range trapTexts[code] {
		if strings.HasPrefix(text, words) {
			return ""
		}
	}
	return fmt.Sprintf("got %q, want a trap: %s", code, text)
}

func (r *scriptRun) load(file string, module *wasm.Module) abi.Code {
	data, err := os.ReadFile(filepath.Join(r.folder, filepath.Base(file)))
	if err != nil {
		return abi.ErrNotFound
	}
	return wasm.Load(data, wasm.NewStorage(wasm.HostSizes), module).Code
}

func (r *scriptRun) instantiate(file string) (*wasm.Instance, abi.Code) {
	module, instance := new(wasm.Module), new(wasm.Instance)
	if code := r.load(file, module); code != abi.OK {
		return nil, code
	}
	var externs []wasm.Extern
	for _, one := range module.Imports() {
		offer, ok := r.offered[string(one.Module)]
		if !ok {
			return nil, abi.ErrWasmImport
		}
		extern, ok := offer(string(one.Name))
		if !ok {
			return nil, abi.ErrWasmImport
		}
		externs = append(externs, extern)
	}
	if code := instance.Link(module, externs, wasm.NewRoom(module, wasm.HostSizes)); code != abi.OK {
		return nil, code
	}
	r.machine.Fuel = r.fuel
	return instance, r.machine.Start(instance)
}

func (r *scriptRun) find(name string) *wasm.Instance {
	if name == "" {
		return r.current
	}
	return r.named[name]
}

func (r *scriptRun) register(c *scriptCommand) string {
	instance := r.find(c.Name)
	if instance == nil {
		return "no such module"
	}
	r.offered[c.As] = func(name string) (wasm.Extern, bool) {
		export, ok := instance.Module().Find([]byte(name))
		if !ok {
			return wasm.Extern{}, false
		}
		return instance.Extern(export), true
	}
	return ""
}

func (r *scriptRun) act(a *scriptAction) (uint64, abi.Code) {
	instance := r.find(a.Module)
	if instance == nil {
		return 0, abi.ErrNotFound
	}
	export, ok := instance.Module().Find([]byte(a.Field))
	if !ok {
		return 0, abi.ErrNotFound
	}
	extern := instance.Extern(export)
	if a.Type == "get" {
		return extern.Global.Bits, abi.OK
	}
	arguments := make([]uint64, len(a.Args))
	for i, one := range a.Args {
		bits, err := strconv.ParseUint(one.Value, 10, 64)
		if err != nil {
			return 0, abi.ErrUnsupported
		}
		arguments[i] = bits
	}
	r.machine.Fuel = r.fuel
	return r.machine.Call(extern.Function, arguments)
}

func (r *scriptRun) assertReturn(c *scriptCommand) string {
	got, code := r.act(&c.Action)
	if code != abi.OK {
		return fmt.Sprintf("%s: %s", c.Action.Field, code)
	}
	if len(c.Expected) == 0 {
		return ""
	}
	if len(c.Expected) > 1 || !isExpected(c.Expected[0], got) {
		return fmt.Sprintf("%s: got %#x, want %v", c.Action.Field, got, c.Expected)
	}
	return ""
}

// isExpected compares bits; an expected NaN is a class of bits.
func isExpected(wanted scriptValue, got uint64) bool {
	quiet := map[string]uint64{"f32": 0x7fc00000, "f64": 0x7ff8000000000000}[wanted.Type]
	sign := map[string]uint64{"f32": 1 << 31, "f64": 1 << 63}[wanted.Type]
	switch wanted.Value {
	case "nan:canonical":
		return got&^sign == quiet
	case "nan:arithmetic":
		return got&quiet == quiet
	}
	bits, err := strconv.ParseUint(wanted.Value, 10, 64)
	return err == nil && bits == got
}

// printed stands behind the functions that scripts may call to print.
type printed struct{}

func (printed) Call(uint32, []uint64, *wasm.Memory) (uint64, abi.Code) { return 0, abi.OK }

// spectestModule is what every script may import.
func spectestModule() func(string) (wasm.Extern, bool) {
	offered := map[string]wasm.Extern{
		"table":  {Kind: wasm.KindTable, Table: &wasm.Table{Elements: make([]wasm.Reference, 10), Limits: wasm.Limits{Min: 10, Max: 20, Bounded: true}}},
		"memory": {Kind: wasm.KindMemory, Memory: &wasm.Memory{Bytes: make([]byte, wasm.PageBytes, 2*wasm.PageBytes), Limits: wasm.Limits{Min: 1, Max: 2, Bounded: true}}},
	}
	for name, global := range map[string]wasm.Global{
		"global_i32": {Type: wasm.I32, Bits: 666}, "global_i64": {Type: wasm.I64, Bits: 666},
		"global_f32": {Type: wasm.F32, Bits: 0x4426a666}, "global_f64": {Type: wasm.F64, Bits: 0x4084d4cccccccccd},
	} {
		offered[name] = wasm.Extern{Kind: wasm.KindGlobal, Global: &global}
	}
	for name, parameters := range map[string][]byte{
		"print": {}, "print_i32": {wasm.I32}, "print_i64": {wasm.I64}, "print_f32": {wasm.F32}, "print_f64": {wasm.F64},
		"print_i32_f32": {wasm.I32, wasm.F32}, "print_f64_f64": {wasm.F64, wasm.F64},
	} {
		offered[name] = wasm.Extern{Kind: wasm.KindFunction, Function: wasm.Reference{Host: printed{}, Signature: &wasm.Signature{Parameters: parameters}}}
	}
	return func(name string) (wasm.Extern, bool) {
		extern, ok := offered[name]
		return extern, ok
	}
}
