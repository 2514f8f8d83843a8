#!/bin/sh
# Makes the folder ROOT, which is what the image has beside the binary, from the
# project in SOURCE.
set -eu
root=$1
source=$2
mkdir -p "$root/bin" "$root/usr/bin" "$root/etc/alloy" "$root/etc/promtail" "$root/licenses" "$root/tmp" "$root/run/docker-proxy" "$root/var/lib/alloy/data"
# Compose files written for Alloy may name its binary.
ln -s collector "$root/bin/alloy"
# Those written for Promtail have its entry point.
ln -s ../../bin/collector "$root/usr/bin/promtail"
cp "$source/LICENSE" "$source/THIRD_PARTY_NOTICES.txt" "$root/licenses/"
find "$root" -type d -exec chmod 755 {} +
chmod 644 "$root"/licenses/*
# A new volume takes its directory's mode, so that any user may write to it.
chmod 1777 "$root/var/lib/alloy/data" "$root/run/docker-proxy" "$root/tmp"
