package main

import (
	"errors"
	"fmt"
)

// Exit codes of every verb, as published: a script may rely on them.
const (
	exitPass         = 0
	exitFail         = 1
	exitUsage        = 2
	exitInconclusive = 3
	exitInfra        = 4
)

// verdictError carries an exit code. Silent says that the verb has already
// printed all there is to say.
type verdictError struct {
	code   int
	silent bool
	cause  error
}

func (e *verdictError) Error() string { return e.cause.Error() }
func (e *verdictError) Unwrap() error { return e.cause }

// fail: the thing under test is not good enough.
func fail(format string, a ...any) error {
	return &verdictError{code: exitFail, cause: fmt.Errorf(format, a...)}
}

// usage: the caller asked for something that does not exist or parse.
func usage(format string, a ...any) error {
	return &verdictError{code: exitUsage, cause: fmt.Errorf(format, a...)}
}

// inconclusive: the run happened and does not decide the question.
func inconclusive(format string, a ...any) error {
	return &verdictError{code: exitInconclusive, cause: fmt.Errorf(format, a...)}
}

// infra: the lab itself could not do its part.
func infra(format string, a ...any) error {
	return &verdictError{code: exitInfra, cause: fmt.Errorf(format, a...)}
}

// exitWith ends with a code of the guest's choosing, after all was printed.
func exitWith(code int) error {
	return &verdictError{code: code, silent: true, cause: fmt.Errorf("exit status %d", code)}
}

// exitCode maps an error of a verb to the exit code. An untyped error is the
// lab's own trouble.
func exitCode(err error) int {
	if err == nil {
		return exitPass
	}
	var typed *verdictError
	if errors.As(err, &typed) {
		return typed.code
	}
	return exitInfra
}
