#!/usr/bin/env bash
# Makes the image from a binary of the collector, bin/collector by default (see
# `make image`), for the binary's architecture. IMAGE names it.
#
# The Engine's own builder gives every image the Engine's architecture, and buildx
# isn't everywhere: the layer, of which nothing has to be run, is imported.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
binary=${1:-$root/bin/collector}
image=${IMAGE:-collector:latest}
architecture=$(go version -m "$binary" | sed -n 's/^.*GOARCH=//p')
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

"$here/layout.sh" "$context/root" "$root"
install -Dm 555 "$binary" "$context/binary/bin/collector"
layer=$context/layer.tar
tar -C "$context/root" --owner=0 --group=0 --numeric-owner -cf "$layer" .
tar -C "$context/binary" --owner=65532 --group=65532 --numeric-owner -rf "$layer" bin/collector

# What the Dockerfile's first stage says of the image, each instruction on one line.
changes=()
while IFS= read -r instruction; do
	changes+=(--change "$instruction")
done < <(sed -e ':join' -e '/\\$/{N;s/\\\n *//;b join' -e '}' "$here/Dockerfile" | sed -n '/^FROM scratch AS base$/,/^FROM golang/{/^[A-EG-Z]/p}')
docker import --platform "linux/$architecture" "${changes[@]}" "$layer" "$image" >/dev/null

# Engines before 25 label what they import as their own: such an image is saved,
# relabeled, and loaded again.
labelled() { docker image inspect -f '{{.Architecture}}' "$image"; }
if [ "$(labelled)" != "$architecture" ]; then
	mkdir "$context/saved"
	docker save "$image" | tar -xC "$context/saved"
	config=$(sed 's/.*"Config":"\([^"]*\)".*/\1/' "$context/saved/manifest.json")
	sed -i "s/\"architecture\":\"[^\"]*\"/\"architecture\":\"$architecture\"/" "$context/saved/$config"
	docker image rm "$image" >/dev/null
	tar -C "$context/saved" -c . | docker load -q >/dev/null
fi
if [ "$(labelled)" != "$architecture" ]; then
	echo "the Engine labels $image $(labelled), but its binary is for $architecture" >&2
	docker image rm "$image" >/dev/null
	exit 1
fi
