package propose

import (
	"embed"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// sources are filters written in C, as a person would write them for XDP: the
// candidates that take the way of every ELF object.
//
//go:embed seeds/*.c seeds/*.h
var sources embed.FS

// WriteSources puts them into dir and returns the names of the C files, sorted.
func WriteSources(dir string) ([]string, error) {
	entries, err := sources.ReadDir("seeds")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		text, err := sources.ReadFile(path.Join("seeds", entry.Name()))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, entry.Name()), text, 0o644); err != nil {
			return nil, err
		}
		if strings.HasSuffix(entry.Name(), ".c") {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
