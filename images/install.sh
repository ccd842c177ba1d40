#!/bin/sh
# Installs the Debian packages of images/packages.txt that are missing.
# Usage: images/install.sh GROUP...
# Exit 0: all there. Exit 2: something is missing and cannot be installed here;
# the exact list is printed so that an administrator can install it.
# LAB_NO_APT=1 behaves as on a machine without apt; LAB_DPKG_QUERY names
# another dpkg-query. The tidy tests use both.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
query=${LAB_DPKG_QUERY:-dpkg-query}
[ $# -gt 0 ] || { echo "usage: images/install.sh GROUP..." >&2; exit 2; }

installed() {
	[ "$("$query" -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

missing=""
for group in "$@"; do
	names=$(awk -v group="$group" '!/^#/ && $2 == group { print $1 }' "$here/packages.txt")
	[ -n "$names" ] || { echo "images/install.sh: no such group: $group" >&2; exit 2; }
	for name in $names; do
		installed "$name" || missing="$missing $name"
	done
done

if [ -z "$missing" ]; then
	echo "packages ($*): all installed"
	exit 0
fi

root=""
if [ "$(id -u)" != 0 ]; then
	if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		root="sudo"
	elif command -v sudo >/dev/null 2>&1 && [ -t 0 ]; then
		root="sudo"
	else
		root="none"
	fi
fi

if [ -n "${LAB_NO_APT:-}" ] || [ "$root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
	{
		echo "These packages are missing and cannot be installed without apt and root:"
		for name in $missing; do echo "  $name"; done
		echo "As root: apt-get install --no-install-recommends$missing"
	} >&2
	exit 2
fi

apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
echo "packages ($*): installing$missing"
# Two tries: another apt on the same machine can delete the index or archives under us.
for try in 1 2; do
	# shellcheck disable=SC2086 # the lists are words on purpose
	if $apt update && $apt install -y --no-install-recommends $missing; then
		exit 0
	fi
	echo "packages: try $try failed" >&2
	sleep 5
done
echo "apt-get could not install:$missing" >&2
exit 2
