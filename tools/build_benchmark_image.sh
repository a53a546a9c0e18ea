#!/usr/bin/env bash
# Builds a target of benchmark/Dockerfile as a local image: build_benchmark_image.sh TARGET NAME
set -euo pipefail
cd "$(dirname "$0")/.."

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

cp -r benchmark/. "$context"
rm -rf "$context/tests"
# As in roles/dlrm_image, the build gets the machine's CA bundle and the wheels that no index serves.
if [ -n "${PIP_CERT:-}" ]; then cp "$PIP_CERT" "$context/ca/ca.crt"; fi
if [ -d "${PIP_FIND_LINKS:-}" ]; then
    find "$PIP_FIND_LINKS" -maxdepth 1 -name '*.whl' -exec cp -t "$context/wheels" {} +
fi

arguments=()
archive=.cache/base-image-$(uname -m).tar
if [ -s "$archive" ]; then
    base=$(docker load --input "$archive" | sed -n 's/^Loaded image: //p')
    arguments+=(--build-arg "BASE=$base")
fi

before=$(docker image ls --quiet "$2")
DOCKER_BUILDKIT=0 docker build --quiet --target "$1" --tag "$2" "${arguments[@]}" "$context" >/dev/null
# Remove the image that had the name before. It stays if a test still runs in it.
if [ -n "$before" ] && [ "$before" != "$(docker image ls --quiet "$2")" ]; then
    docker image rm "$before" >/dev/null 2>&1 || true
fi
