#!/bin/sh
# Fetches Debian's arm64 kernel package of one series into the cache and prints
# its path (last line of stdout).
#
# Usage: images/linux/fetch.sh SERIES          such as 6.12
#
# The pinned package of images/linux.lock comes first. When the archive no
# longer has it, the newest package of the series is taken and named on stderr.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
fetch="$here/../apt_fetch.sh"
series=${1:-}

line=$(awk -v series="$series" '!/^#/ && $1 == series' "$here/../linux.lock")
[ -n "$line" ] || { echo "images/linux/fetch.sh: no series '$series' in images/linux.lock" >&2; exit 2; }
# shellcheck disable=SC2086  # five words by format
set -- $line
package=$2; version=$3; suffix=$4; sha256=$5
[ "$suffix" != - ] || suffix=""

if path=$("$fetch" "$package=$version:arm64" "$suffix" "$sha256"); then
	echo "$path"
	exit 0
fi
echo "linux $series: $package $version is gone from the archive; taking the newest of the series" >&2
path=$("$fetch" --meta linux-image-cloud-arm64:arm64 "$suffix" | tail -1)
case "${path##*/}" in
linux-image-"$series".*) ;;
*) echo "images/linux/fetch.sh: the newest is ${path##*/}, not of series $series: pin another in images/linux.lock" >&2; exit 1 ;;
esac
echo "linux $series: using ${path##*/} sha256 $(cat "$path.sha256"): pin it in images/linux.lock" >&2
echo "$path"
