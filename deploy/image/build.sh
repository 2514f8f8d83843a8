#!/usr/bin/env bash
# Builds the image from a binary of the collector, bin/collector by default (see
# `make image`), for the binary's architecture. IMAGE names it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
binary=${1:-$root/bin/collector}
image=${IMAGE:-collector:latest}
architecture=$(go version -m "$binary" | sed -n 's/^.*GOARCH=//p')
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

install -m 555 "$binary" "$context/collector"
"$here/layout.sh" "$context/root" "$root"
cp "$here/Dockerfile" "$context/"
if docker buildx version >/dev/null 2>&1; then
	docker buildx build --provenance=false --load --platform "linux/$architecture" --target prebuilt -t "$image" "$context"
else
	DOCKER_BUILDKIT=0 docker build --platform "linux/$architecture" --target prebuilt -t "$image" "$context"
fi
# The Engine's own builder gives every image the Engine's architecture.
made=$(docker image inspect -f '{{.Architecture}}' "$image")
if [ "$made" != "$architecture" ]; then
	docker image rm "$image" >/dev/null
	echo "$image would be labeled $made, and its binary is for $architecture: install Docker's buildx" >&2
	exit 1
fi
