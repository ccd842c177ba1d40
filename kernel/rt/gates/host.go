// Gate E: what standard Go says about the same sources.

package gates

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Host is gate E: go vet, and tests whose names contain Alloc, all passing,
// which together run code of every package. Those tests measure AllocsPerRun ==
// 0; a package none of them enters was not measured. Where such a test lives is
// its author's choice: more names packages to look in besides the measured ones.
func Host(directory string, measured []string, more ...string) ([]Finding, error) {
	var findings []Finding
	if out, err := goCommand(directory, append([]string{"vet"}, measured...)); err != nil {
		findings = append(findings, Finding{"E", "go vet", strings.TrimSpace(out)})
	}
	temporary, err := os.MkdirTemp("", "gate-e-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temporary)
	profile := filepath.Join(temporary, "cover")
	args := []string{"test", "-json", "-short", "-run", "Alloc", "-coverpkg=" + strings.Join(measured, ","), "-coverprofile=" + profile}
	out, testErr := goCommand(directory, append(append(args, measured...), more...))
	passed := 0
	for _, text := range strings.Split(out, "\n") {
		var event struct{ Action, Package, Test string }
		if json.Unmarshal([]byte(text), &event) != nil || event.Test == "" {
			continue
		}
		switch event.Action {
		case "pass":
			passed++
		case "fail":
			findings = append(findings, Finding{"E", event.Package, event.Test + " failed"})
		}
	}
	if testErr != nil && len(findings) == 0 {
		findings = append(findings, Finding{"E", "go test", fmt.Sprintf("%v\n%s", testErr, strings.TrimSpace(out))})
	}
	if testErr != nil {
		return findings, nil
	}
	if passed == 0 {
		return append(findings, Finding{"E", "go test", "no test named ...Alloc...: nothing was measured"}), nil
	}
	unentered, err := unentered(profile)
	for _, name := range unentered {
		findings = append(findings, Finding{"E", name, "no test named ...Alloc... enters this package: its allocations were not measured"})
	}
	return findings, err
}

// unentered reads a coverage profile and names the packages with statements of
// which none ran.
func unentered(profilePath string) ([]string, error) {
	file, err := os.Open(profilePath)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	entered := map[string]bool{}
	var order []string
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		// package/file.go:first.column,last.column statements count
		place, _, ok := strings.Cut(scanner.Text(), ":")
		if !ok || strings.HasPrefix(scanner.Text(), "mode:") {
			continue
		}
		name := path.Dir(place)
		ran, known := entered[name]
		if !known {
			order = append(order, name)
		}
		entered[name] = ran || !strings.HasSuffix(scanner.Text(), " 0")
	}
	var none []string
	for _, name := range order {
		if !entered[name] {
			none = append(none, name)
		}
	}
	return none, scanner.Err()
}

func goCommand(directory string, args []string) (string, error) {
	command := exec.Command("go", args...)
	command.Dir = directory
	out, err := command.CombinedOutput()
	return string(out), err
}
