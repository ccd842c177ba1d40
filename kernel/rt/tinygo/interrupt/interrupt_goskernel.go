//go:build goskernel

// Services never mask interrupts, and never run in a handler: the kernel calls
// them from threads only. TinyGo's runtime wants the three names all the same.
package interrupt

// State is what Restore would give back.
type State uintptr

// Disable does nothing; see above.
func Disable() (state State) { return 0 }

// Restore does nothing; see above.
func Restore(state State) {}

// In is always false: no handler is Go.
func In() bool { return false }
