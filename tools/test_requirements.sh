#!/usr/bin/env bash
# Installs what the suite needs besides the virtual environment: a Docker engine that answers, and a few packages.
set -euo pipefail

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

declare -A package_of=(
    [dockerd]=docker.io [shellcheck]=shellcheck [busybox]=busybox-static [rsync]=rsync [ssh]=openssh-client
    [mmdebstrap]=mmdebstrap [openssl]=openssl [unshare]=util-linux [g++]=g++
)
missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null 2>&1 || missing+=("${package_of[$program]}")
done
if [ "${#missing[@]}" -gt 0 ]; then
    command -v apt-get >/dev/null 2>&1 || {
        echo "The test suite needs these Debian packages or their equivalents: ${missing[*]}. Install them and run it again." >&2
        exit 1
    }
    echo "Installing for the tests: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if ! engine_answers; then
    if [ -d /run/systemd/system ]; then
        as_root systemctl start docker
    else
        # Not by the init script: it raises limits, which a container or a small VM may not, and Docker does not need them.
        as_root sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &'
    fi
    for _ in $(seq 60); do
        if engine_answers; then break; fi
        sleep 1
    done
fi
engine_answers || {
    echo "The test suite needs a Docker engine; none answered within 60 s. Look at /var/log/dockerd.log or 'systemctl status docker'." >&2
    exit 1
}
