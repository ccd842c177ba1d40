#!/bin/sh
# Downloads one Debian package without installing it and prints the path of
# the cached .deb (last line of stdout).
#
# Usage: images/apt_fetch.sh [--meta] PACKAGE[=VERSION]:ARCH [SUITE-SUFFIX] [SHA256]
#   --meta        PACKAGE is a meta package: fetch its first dependency instead
#   SUITE-SUFFIX  such as -backports; empty = the machine's own suite
#   SHA256        refuse any other file
#
# The archive's address, suite and key come from the machine's own apt
# sources; index and state live in images/out/apt, so the system's
# configuration is neither read-write nor changed. apt checks the index's
# signature and the file's hash; the hash is kept beside the file and checked
# again at each use. Needs neither root nor the foreign architecture in dpkg.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${LAB_CACHE:-$here/out/cache}

fail() { echo "images/apt_fetch.sh: $*" >&2; exit 2; }

meta=""
if [ "${1:-}" = --meta ]; then meta=1; shift; fi
[ $# -ge 1 ] || fail "usage: [--meta] PACKAGE[=VERSION]:ARCH [SUITE-SUFFIX] [SHA256]"
name=${1%:*}; arch=${1##*:}; suffix=${2:-}; want=${3:-}
[ "$name" != "$1" ] || fail "$1 lacks its architecture, such as $1:arm64"

mkdir -p "$cache"
key=$(printf '%s' "$meta-$name-$arch$suffix" | tr -c 'A-Za-z0-9.+~-' '_')
note="$cache/$key.path"

check() { # FILE: hash beside it agrees, and is the wanted one
	[ -s "$1" ] && [ -s "$1.sha256" ] || return 1
	have=$(sha256sum "$1" | cut -d' ' -f1)
	[ "$have" = "$(cat "$1.sha256")" ] || { echo "$1 changed on disk: fetching again" >&2; return 1; }
	[ -z "$want" ] || [ "$have" = "$want" ] || fail "$1 has sha256 $have, wanted $want"
}

if [ -s "$note" ] && check "$cache/$(cat "$note")"; then
	echo "cached: $(cat "$note")" >&2
	echo "$cache/$(cat "$note")"
	exit 0
fi
command -v apt-get >/dev/null 2>&1 || fail "no apt-get, and $name:$arch is not in $cache"

# The machine's own Debian line: first source whose suite is the codename.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$codename" ] || fail "/etc/os-release names no VERSION_CODENAME"
line=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v suite="$codename" '
	function flush() { if (types ~ /deb/ && (" " suites " ") ~ (" " suite " ") && uri != "" && enabled != "no") { print uri, signed; done = 1; exit } types = suites = uri = signed = enabled = "" }
	/^[ \t]*$/ { flush(); next }
	/^Types:/ { types = $0; sub(/^Types:[ \t]*/, "", types) }
	/^Enabled:/ { enabled = $2 }
	/^URIs:/ { uri = $2 }
	/^Suites:/ { suites = $0; sub(/^Suites:[ \t]*/, "", suites) }
	/^Signed-By:/ { signed = $2 }
	END { if (!done) flush() }')
if [ -z "$line" ]; then
	line=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk -v suite="$codename" '
		/^deb[ \t]/ { signed = ""; i = 2
			if ($2 ~ /^\[/) { for (; i <= NF; i++) { if (match($i, /signed-by=[^] ]*/)) signed = substr($i, RSTART + 10, RLENGTH - 10); if ($i ~ /\]$/) { i++; break } } }
			if ($(i + 1) == suite) { print $i, signed; exit } }')
fi
[ -n "$line" ] || fail "no apt source of this machine serves the suite $codename"
uri=${line%% *}; signed=${line#* }
[ "$signed" = "$line" ] && signed=""

state="$here/out/apt/$arch$suffix"
mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/empty"
: >"$state/status"
options="arch=$arch"
[ -z "$signed" ] || options="$options signed-by=$signed"
echo "deb [$options] $uri $codename$suffix main" >"$state/sources.list"

apt() {
	tool=$1; shift
	"$tool" -q -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts="$state/empty" \
		-o Dir::Etc::Preferences="$state/none" -o Dir::Etc::PreferencesParts="$state/empty" \
		-o Dir::State="$state" -o Dir::State::Lists="$state/lists" -o Dir::State::status="$state/status" \
		-o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives" \
		-o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Acquire::Retries=3 \
		-o Acquire::Languages=none -o APT::Sandbox::User=root -o Debug::NoLocking=1 "$@"
}

# One index refresh a day is enough; --force by deleting images/out/apt.
if [ -z "$(find "$state/lists" -name '*Packages*' -mmin -1440 2>/dev/null | head -1)" ]; then
	echo "reading the $codename$suffix $arch index" >&2
	apt apt-get update >&2 || fail "cannot read the index of $codename$suffix for $arch"
fi
target=$name
if [ -n "$meta" ]; then
	target=$(apt apt-cache depends "$name" | awk '$1 == "Depends:" { print $2; exit }')
	[ -n "$target" ] || fail "$name has no dependency to follow"
fi
work=$(mktemp -d "$cache/get.XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt apt-get download "$target" >&2) || fail "cannot download $target:$arch from $codename$suffix"
file=$(cd "$work" && ls ./*.deb | head -1); file=${file#./}
sha256sum "$work/$file" | cut -d' ' -f1 >"$cache/$file.sha256"
mv "$work/$file" "$cache/$file"
check "$cache/$file" || fail "$file does not match its own hash"
echo "$file" >"$note"
echo "fetched: $file sha256 $(cat "$cache/$file.sha256")" >&2
echo "$cache/$file"
