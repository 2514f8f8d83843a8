#!/usr/bin/env bash
# Builds the image from bin/collector (see `make image`). IMAGE names it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=${IMAGE:-collector:latest}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

install -D -m 755 "$here/../../bin/collector" "$context/root/bin/collector"
# Compose files written for Alloy may name its binary.
ln -s collector "$context/root/bin/alloy"
# A new volume takes this directory's mode, so that any user may write to it.
install -d -m 755 "$context/root/etc/alloy" "$context/root/var/lib/alloy"
install -d -m 1777 "$context/root/var/lib/alloy/data" "$context/root/tmp"
cp "$here/Dockerfile" "$context/"
DOCKER_BUILDKIT=0 docker build --target prebuilt -t "$image" "$context"
