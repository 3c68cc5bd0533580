#!/usr/bin/env bash
# Unpacks the packages of debian.txt into the folder that is named, without installing anything and without being root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$1
release=trixie

# The machine's own mirror: what it has for its own release, it has for the others.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || { echo "apt knows of no Debian mirror: is this Debian, and was apt-get update run?" >&2; exit 1; }

rm -rf "$to"
mkdir -p "$to"/apt/{sources,lists/partial,cache/archives/partial} "$to/packages"
to=$(cd "$to" && pwd)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$to/apt/sources/$release.list"
# Lists of their own: those of the machine stay as they are.
options=(-qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$to/apt/sources" -o "Dir::State::Lists=$to/apt/lists"
  -o "Dir::Cache=$to/apt/cache" -o Acquire::Languages=none -o "APT::Sandbox::User=$(id -un)")
apt-get "${options[@]}" update
mapfile -t packages < <(grep -v '^#' "$here/debian.txt")
(cd "$to/packages" && apt-get "${options[@]}" download "${packages[@]}")
for package in "$to"/packages/*.deb; do dpkg-deb --extract "$package" "$to"; done
rm -rf "$to/apt" "$to/packages"

# They look for one another where they would have been installed.
cd "$to/usr/share/php"
grep -rlZE "['\"]/usr/share/php/" . --include='*.php' | xargs -0 sed -i -E "s#(['\"])/usr/share/php/#\1$PWD/#g"
