package main

import (
	"strings"

	"github.com/kingly-os/go-kernel/lab/fleet"
)

// downVerb stops every lab and guest of the state directory, also after the
// lab that started them was killed.
type downVerb struct{}

func (downVerb) Help() string {
	return "Ends exactly the guests that were started from this state directory,\nalso when the lab that started them was killed.\n\nExample:\n\n  lab down"
}

func (downVerb) Run(e *env) error {
	registry, err := fleet.OpenRegistry(e.State)
	if err != nil {
		return infra("%w", err)
	}
	report, err := registry.Down()
	if err != nil {
		return infra("%w", err)
	}
	if len(report.Stopped) == 0 {
		e.printf("nothing was running (state directory %s)\n", registry.Dir())
	} else {
		e.printf("stopped %s\n", strings.Join(report.Stopped, ", "))
	}
	return e.document(report)
}
