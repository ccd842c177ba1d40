package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script turns a .wast file into what the verb takes.
func script(t *testing.T, source string) string {
	t.Helper()
	if _, err := exec.LookPath("wast2json"); err != nil {
		t.Skip("wast2json is missing: make deps-test")
	}
	path := filepath.Join(t.TempDir(), "script.json")
	if output, err := exec.Command("wast2json", "-o", path, source).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", source, err, output)
	}
	return path
}

// spectest runs the verb and reads its document.
func spectest(t *testing.T, path string) (scriptResult, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	exit := execute([]string{"--json", "wasm", "spectest", path}, strings.NewReader(""), &stdout, &stderr)
	var result scriptResult
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		t.Fatalf("%v: %s%s", err, stdout.String(), stderr.String())
	}
	return result, exit
}

func TestScriptsPass(t *testing.T) {
	sources, err := filepath.Glob("testdata/wasm/*.wast")
	if err != nil || len(sources) < 5 {
		t.Fatalf("%d scripts, %v", len(sources), err)
	}
	for _, source := range sources {
		t.Run(filepath.Base(source), func(t *testing.T) {
			result, exit := spectest(t, script(t, source))
			if exit != exitPass || result.Failed != 0 || result.Passed < 10 || result.Skipped != 0 {
				t.Errorf("exit %d: %+v", exit, result)
			}
		})
	}
}

// TestAWrongScriptFails: each assertion says something untrue.
func TestAWrongScriptFails(t *testing.T) {
	source := filepath.Join(t.TempDir(), "wrong.wast")
	text := `(module (func (export "one") (result i32) (i32.const 1)) (func (export "nan") (result f32) (f32.const 1)))
(assert_return (invoke "one") (i32.const 2))
(assert_return (invoke "nan") (f32.const nan:canonical))
(assert_trap (invoke "one") "unreachable")
(assert_unlinkable (module (func)) "unknown import")`
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if result, exit := spectest(t, script(t, source)); exit != exitFail || result.Failed != 4 || result.Passed != 0 {
		t.Errorf("exit %d: %+v", exit, result)
	}
}

// module writes the bytes of (func (export "f") (param i32) (result i32) BODY).
func module(t *testing.T, body string) string {
	t.Helper()
	code := "\x00" + body + "\x0b"
	text := "\x00asm\x01\x00\x00\x00" + "\x01\x06\x01\x60\x01\x7f\x01\x7f" + "\x03\x02\x01\x00" + "\x07\x05\x01\x01f\x00\x00" +
		"\x0a" + string(rune(len(code)+2)) + "\x01" + string(rune(len(code))) + code
	path := filepath.Join(t.TempDir(), "module.wasm")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWebAssemblyVerbs(t *testing.T) {
	double := module(t, "\x20\x00\x20\x00\x6a")
	forever := module(t, "\x03\x40\x0c\x00\x0b\x41\x00")
	untyped := module(t, "\x20\x00\x20\x00")
	for _, one := range []struct {
		arguments []string
		exit      int
		want      string
	}{
		{[]string{"wasm", "run", double, "f", "21"}, exitPass, "42\n"},
		{[]string{"wasm", "run", double, "f", "--", "-3"}, exitPass, "-6\n"},
		{[]string{"wasm", "run", double, "g"}, exitUsage, "exports no function"},
		{[]string{"wasm", "run", double, "f"}, exitUsage, "takes 1 arguments"},
		{[]string{"wasm", "run", double, "f", "x"}, exitUsage, "no integer"},
		{[]string{"wasm", "run", "--fuel", "1000", forever, "f", "1"}, exitFail, "ran longer than it may"},
		{[]string{"wasm", "validate", double}, exitPass, "valid: 1 functions"},
		{[]string{"wasm", "validate", untyped}, exitFail, "byte 37: operands or a signature"},
		{[]string{"wasm", "validate", "verb_webassembly.go"}, exitFail, "byte 0: does not begin"},
	} {
		var output bytes.Buffer
		if exit := execute(one.arguments, strings.NewReader(""), &output, &output); exit != one.exit || !strings.Contains(output.String(), one.want) {
			t.Errorf("%v: exit %d, want %d; %q lacks %q", one.arguments, exit, one.exit, output.String(), one.want)
		}
	}
}
