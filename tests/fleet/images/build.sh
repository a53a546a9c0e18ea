#!/usr/bin/env bash
# Builds a test host's image and prints its name. If its sources did not change, it only prints the name.
# Usage: build.sh bare|engine [BASE_ARCHIVE.tar | BASE_REFERENCE]
# Without a second argument: the archive that tools/base_archive.sh made, else the base of benchmark/Dockerfile.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
target=${1:?'build.sh: which image, bare or engine?'}
base=${2:-$root/.cache/base-image-$(uname -m).tar}

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "$here/Dockerfile" "$here/init.sh" "$context/"

if [ -f "$base" ]; then
    tag=$(tar -xOf "$base" ./manifest.json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["RepoTags"][0])')
    docker image inspect "$tag" >/dev/null 2>&1 || docker load --quiet --input "$base" >/dev/null
    base=$tag
elif [ $# -lt 2 ]; then
    base=$(sed -n 's/^ARG BASE=//p' "$root/benchmark/Dockerfile")
fi

# The CA bundle that this machine trusts, and its package index.
bundle=${PIP_CERT:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}
cp "$bundle" "$context/ca-certificates.crt"
{
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n'
    if [ -n "${PIP_INDEX_URL:-}" ]; then printf 'index-url = %s\n' "$PIP_INDEX_URL"; fi
} >"$context/pip.conf"

content=$( (cd "$context" && sha256sum -- *; printf '%s %s\n' "$base" "$target") | sha256sum | cut -c1-12)
name=dlrm-test-host-$target:$content
if ! docker image inspect "$name" >/dev/null 2>&1; then
    # The classic builder, because some clients have no buildx.
    DOCKER_BUILDKIT=0 docker build --quiet --target "$target" --build-arg BASE="$base" \
        --label dlrm-fleet.test-host="$target" --tag "$name" "$context" >&2
fi
printf '%s\n' "$name"
