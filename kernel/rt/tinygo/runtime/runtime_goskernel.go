//go:build goskernel

// The port of TinyGo's runtime to this kernel: a library without scheduler,
// heap or process. The build copies this file into a private copy of TinyGo's
// root; standard Go never compiles it.
//
// What it relies on: the three C functions below (kernel/rt/imports.c), and C
// calling go_init once, on CPU 0, before any other Go function.
package runtime

//export go_putc
func go_putc(c uint8)

//export go_abort
func go_abort()

//export go_ticks_ns
func go_ticks_ns() int64

// go_init runs the package initialisers that the compiler could not fold, then
// main.main, which is empty.
//
//export go_init
func go_init() { run() }

func putchar(c byte) { go_putc(c) }
func getchar() byte  { return 0 }
func buffered() int  { return 0 }

func ticksToNanoseconds(t timeUnit) int64  { return int64(t) }
func nanosecondsToTicks(ns int64) timeUnit { return timeUnit(ns) }
func ticks() timeUnit                      { return timeUnit(go_ticks_ns()) }

// Services never sleep: C threads own time.
func sleepTicks(d timeUnit) {}

func abort() {
	go_abort()
	for {
	}
}

func exit(code int) { abort() }

//go:linkname procPin sync/atomic.runtime_procPin
func procPin() {}

//go:linkname procUnpin sync/atomic.runtime_procUnpin
func procUnpin() {}
