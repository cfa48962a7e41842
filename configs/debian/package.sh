#!/bin/sh
# Makes a Debian package of a program that is built already.
#
#   cargo build --release -p logbraid
#   configs/debian/package.sh target/release/logbraid target/
#
# The package holds the program, its manual page and completions (made by the program itself), the sidecar's
# configuration, and a service that is installed but not started.
set -eu

program=${1:?usage: package.sh PROGRAM [FOLDER]}
folder=${2:-.}
here=$(cd "$(dirname "$0")" && pwd)
version=$("$program" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

install -D -m 755 "$program" "$root/usr/bin/logbraid"
strip --strip-unneeded "$root/usr/bin/logbraid"
install -D -m 644 "$here/../sidecar.yaml" "$root/etc/logbraid/logbraid.yaml"
install -D -m 644 "$here/default" "$root/etc/default/logbraid"
install -D -m 644 "$here/logbraid.service" "$root/usr/lib/systemd/system/logbraid.service"
install -D -m 644 "$here/../../LICENSE" "$root/usr/share/doc/logbraid/copyright"
install -D -m 644 "$here/../prometheus/logbraid.rules.yml" "$root/usr/share/doc/logbraid/logbraid.rules.yml"
install -D -m 644 "$here/../grafana/logbraid.json" "$root/usr/share/doc/logbraid/grafana-dashboard.json"

mkdir -p "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions" \
    "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
"$program" man | gzip -9n >"$root/usr/share/man/man1/logbraid.1.gz"
"$program" completions bash >"$root/usr/share/bash-completion/completions/logbraid"
"$program" completions zsh >"$root/usr/share/zsh/vendor-completions/_logbraid"
"$program" completions fish >"$root/usr/share/fish/vendor_completions.d/logbraid.fish"

# The libraries that the program is linked with, as dpkg knows them.
mkdir -p "$work/debian"
printf 'Source: logbraid\nPackage: logbraid\nArchitecture: any\n' >"$work/debian/control"
needs=$(cd "$work" && dpkg-shlibdeps -O -e"$root/usr/bin/logbraid" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
size=$(du -sk "$root" | cut -f1)

mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: logbraid
Version: $version
Architecture: $architecture
Maintainer: logbraid <logbraid@localhost>
Installed-Size: $size
Depends: ${needs:-libc6}
Section: admin
Priority: optional
Description: braids interleaved logs back into requests
 Follows each request through services and threads, rebuilds who called whom,
 finds where an error began and how it spread, and says so while it happens:
 as a filter on stdin, beside a log shipper, or on Kafka.
CONTROL
printf '/etc/logbraid/logbraid.yaml\n/etc/default/logbraid\n' >"$root/DEBIAN/conffiles"

package=$folder/logbraid_${version}_$architecture.deb
dpkg-deb -Zgzip --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
