package fleet

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is USER_HZ, the unit of times in /proc/PID/stat: 100 on every
// architecture that runs QEMU.
const clockTick = 10 * time.Millisecond

// processFields returns the fields of /proc/PID/stat after the command name,
// which may hold spaces and parentheses; field 0 here is field 3 of proc(5).
func processFields(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return nil, fmt.Errorf("/proc/%d/stat is malformed", pid)
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	return fields, nil
}

// processStart returns the start time of a running process in clock ticks
// since boot: with the pid it names the process for good.
func processStart(pid int) (uint64, error) {
	fields, err := processFields(pid)
	if err != nil {
		return 0, err
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// ProcessCPU returns the CPU time a process has used, user and system.
func ProcessCPU(pid int) (time.Duration, error) {
	fields, err := processFields(pid)
	if err != nil {
		return 0, err
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * clockTick, nil
}

// ProcessStart is processStart for the packages that start QEMU.
func ProcessStart(pid int) (uint64, error) { return processStart(pid) }

// commandLineHas says whether the text stands in a process's command line.
func commandLineHas(pid int, text string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(line, []byte(text))
}
