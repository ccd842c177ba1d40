#!/bin/sh
# Runs one build step: says what it does before, and how long it took after.
# Usage: images/step.sh "what it does" COMMAND ARGS...
set -u
what=$1; shift
printf '==> %s\n' "$what"
start=$(date +%s)
"$@"
code=$?
took=$(($(date +%s) - start))
if [ $code -eq 0 ]; then
	printf '    done in %d s: %s\n' "$took" "$what"
else
	printf '    FAILED after %d s (exit %d): %s\n' "$took" "$code" "$what" >&2
fi
exit $code
