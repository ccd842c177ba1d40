package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/svc/wasm"
)

// wasmVerb groups what is done with WebAssembly modules on this machine, by
// the engine that the kernel's plugins are to run on.
type wasmVerb struct {
	Run      wasmRunVerb      `cmd:"" help:"Call one exported function."`
	Validate wasmValidateVerb `cmd:"" help:"Decode and type a module."`
	Spectest wasmSpectestVerb `cmd:"" help:"Run a script made by wabt's wast2json."`
}

func (wasmVerb) Help() string {
	return "Example:\n\n  lab wasm validate clock.wasm\n  lab wasm run clock.wasm now"
}

type wasmRunVerb struct {
	File      string   `arg:"" type:"existingfile" help:"Binary module."`
	Export    string   `arg:"" help:"Exported function."`
	Arguments []string `arg:"" optional:"" help:"Its arguments: integers, or bits of floating point as 0x..."`
	Fuel      int64    `help:"Stop it after about this many instructions." default:"10000000000"`
}

func (wasmRunVerb) Help() string {
	return "The module may import nothing. The result is printed as bits for floating point.\n\nExample:\n\n  lab wasm run fib.wasm fib 30\n  lab wasm run fib.wasm negate -- -3"
}

type wasmValidateVerb struct {
	File string `arg:"" type:"existingfile" help:"Binary module."`
}

func (wasmValidateVerb) Help() string {
	return "Prints what the module holds, or where and why it is none.\n\nExample:\n\n  lab wasm validate clock.wasm"
}

// loadWasm reads a module; a fault is the file's, not the lab's.
func loadWasm(path string) (*wasm.Module, wasm.Fault, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, wasm.Fault{}, infra("%w", err)
	}
	module := new(wasm.Module)
	fault := wasm.Load(data, wasm.NewStorage(wasm.HostSizes), module)
	if fault.Code != abi.OK {
		return nil, fault, fail("%s: byte %d: %s", path, fault.Offset, fault.Code.Explain())
	}
	return module, fault, nil
}

func (v *wasmValidateVerb) Run(e *env) error {
	module, fault, err := loadWasm(v.File)
	if err != nil {
		var typed *verdictError
		if errors.As(err, &typed) && typed.code == exitFail {
			_ = e.document(map[string]any{"file": v.File, "valid": false, "offset": fault.Offset, "error": fault.Code.Explain()})
		}
		return err
	}
	exports := []string{}
	for _, one := range module.Exports() {
		exports = append(exports, string(one.Name))
	}
	imports := []string{}
	for _, one := range module.Imports() {
		imports = append(imports, string(one.Module)+"."+string(one.Name))
	}
	e.printf("valid: %d functions, %d slots, imports [%s], exports [%s]\n", module.Functions(), module.Slots(), strings.Join(imports, " "), strings.Join(exports, " "))
	return e.document(map[string]any{"file": v.File, "valid": true, "functions": module.Functions(), "slots": module.Slots(), "imports": imports, "exports": exports})
}

func (v *wasmRunVerb) Run(e *env) error {
	module, _, err := loadWasm(v.File)
	if err != nil {
		return err
	}
	export, ok := module.Find([]byte(v.Export))
	if !ok || export.Kind != wasm.KindFunction {
		return usage("%s exports no function %q", v.File, v.Export)
	}
	signature := module.Signature(export.Index)
	if len(signature.Parameters) != len(v.Arguments) {
		return usage("%s takes %d arguments, given are %d", v.Export, len(signature.Parameters), len(v.Arguments))
	}
	arguments := make([]uint64, len(v.Arguments))
	for i, text := range v.Arguments {
		if arguments[i], err = wasmArgument(text); err != nil {
			return usage("argument %d: %w", i+1, err)
		}
	}
	machine := wasm.NewMachine(wasm.HostSizes)
	machine.Fuel = v.Fuel
	instance := new(wasm.Instance)
	code := instance.Link(module, nil, wasm.NewRoom(module, wasm.HostSizes))
	if code == abi.OK {
		code = machine.Start(instance)
	}
	if code != abi.OK {
		return fail("%s cannot be instantiated: %s", v.File, code.Explain())
	}
	result, code := machine.Call(instance.Function(export.Index), arguments)
	used := v.Fuel - machine.Fuel
	if code != abi.OK {
		_ = e.document(map[string]any{"file": v.File, "trap": code.Explain(), "function": machine.TrappedFunction, "fuel": used})
		return fail("trapped in function %d: %s", machine.TrappedFunction, code.Explain())
	}
	shown := ""
	if len(signature.Results) == 1 {
		shown = wasmResult(result, signature.Results[0])
		e.printf("%s\n", shown)
	}
	return e.document(map[string]any{"file": v.File, "result": shown, "fuel": used})
}

func wasmArgument(text string) (uint64, error) {
	if value, err := strconv.ParseInt(text, 0, 64); err == nil {
		return uint64(value), nil
	}
	value, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no integer", text)
	}
	return value, nil
}

func wasmResult(bits uint64, kind byte) string {
	switch kind {
	case wasm.I32:
		return strconv.FormatInt(int64(int32(bits)), 10)
	case wasm.I64:
		return strconv.FormatInt(int64(bits), 10)
	case wasm.F32:
		return fmt.Sprintf("0x%08x", uint32(bits))
	}
	return fmt.Sprintf("0x%016x", bits)
}
