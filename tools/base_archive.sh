#!/usr/bin/env bash
# Makes the base image of the benchmark container from this machine's own distribution, for places
# where no registry answers. The result is an archive as `docker save` writes it. It needs no container
# engine, so it can be made before one is installed.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: base_archive.sh [--if-no-registry REFERENCE] OUTPUT.tar

Writes OUTPUT.tar, an image archive tagged dlrm-base:<first 12 of the root file system's sha256>.
The packages come from the mirrors and suites in this machine's apt sources. Does nothing if
OUTPUT.tar exists; remove it to make a newer one. Needs root or sudo.

  --if-no-registry REFERENCE   do nothing if the registry of this image reference answers
TEXT
}

say() { printf 'base archive: %s\n' "$*"; }
die() { printf 'base archive: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi
}

# The host part of an image reference, as the container engine reads it.
registry_of() {
    local first=${1%%/*}
    case "$1" in
        */*) case "$first" in docker.io) ;; *.* | *:* | localhost) printf '%s' "$first"; return ;; esac ;;
    esac
    printf 'index.docker.io'
}

# At /v2/ a registry answers 200 or 401; a proxy that refuses answers neither.
registry_answers() {
    python3 - "https://$1/v2/" <<'PYTHON'
import sys
import urllib.error
import urllib.request

try:
    status = urllib.request.urlopen(sys.argv[1], timeout=8).status
except urllib.error.HTTPError as error:
    status = error.code
except OSError:
    status = 0
sys.exit(0 if status in (200, 401) else 1)
PYTHON
}

# Prints lines "uri suite component" of the distribution's own suites, without third-party sources.
distribution_sources() {
    # shellcheck disable=SC2016 # apt expands these
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' \
        | awk -v origin="$1" -v suite="$2" \
            '$1 == origin && ($3 == suite || $3 == suite "-updates" || $3 == suite "-security") { print $2, $3, $4 }' \
        | sort -u
}

install_mmdebstrap() {
    say "installing mmdebstrap"
    as_root apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null \
        || { as_root apt-get update -qq; as_root apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null; } \
        || die "cannot install mmdebstrap from this machine's apt sources (on Ubuntu it is in 'universe'). Install it, then run this again."
}

make_rootfs() {
    local rootfs=$1 suite=$2 origin=$3 sources mirror keyring
    sources=$(distribution_sources "$origin" "$suite")
    mirror=$(awk -v suite="$suite" '$2 == suite { print $1; exit }' <<<"$sources")
    if [ -z "$mirror" ]; then
        as_root apt-get update -qq
        sources=$(distribution_sources "$origin" "$suite")
        mirror=$(awk -v suite="$suite" '$2 == suite { print $1; exit }' <<<"$sources")
    fi
    [ -n "$mirror" ] || die "this machine's apt sources name no '$origin' source for the suite '$suite'. Add the distribution's own source, then run this again."
    keyring=/usr/share/keyrings/${origin,,}-archive-keyring.gpg
    [ -r "$keyring" ] || die "the keyring '$keyring' is missing. Install the package ${origin,,}-keyring or ${origin,,}-archive-keyring."
    command -v mmdebstrap >/dev/null || install_mmdebstrap
    say "installing $origin $suite from $mirror"
    # With its updates, and without documentation, now and in packages that are installed later. The hook merges /usr
    # beforehand: a package that does it later would bring Perl (46 MB).
    awk -v key="$keyring" '{ print "deb [signed-by=" key "] " $1 " " $2 " " $3 }' <<<"$sources" >"$rootfs.list"
    as_root env LC_ALL=C mmdebstrap --mode=root --variant=minbase --include=python3,python3-venv,ca-certificates \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr "$suite" "$rootfs" "$rootfs.list" >"$rootfs.log" 2>&1 \
        || { tail -n 20 "$rootfs.log" >&2; die "mmdebstrap of '$suite' from '$mirror' failed (the lines above are its last). Check the mirror and the network."; }
    as_root mv "$rootfs/etc/apt/sources.list.d/0000${rootfs##*/}.list" "$rootfs/etc/apt/sources.list.d/distribution.list"
    as_root mv "$rootfs/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$rootfs/etc/dpkg/dpkg.cfg.d/slim"
    # Remove what differs between two machines with the same packages: it must not change the image's name.
    # shellcheck disable=SC2016 # the inner shell expands it
    as_root sh -ec 'cd "$1" && rm -rf var/lib/apt/lists/* var/cache/apt/* var/cache/debconf/*-old var/cache/ldconfig/* \
        var/log/* var/lib/dpkg/*-old usr/share/doc/* usr/share/man/* usr/share/info/* usr/share/locale/* tmp/* run/* \
        etc/resolv.conf && : >etc/machine-id && : >etc/hostname' sh "$rootfs"
}

# Writes the archive of one layer: manifest.json, the image's configuration, the layer.
write_archive() {
    local layer=$1 work=$2 archive=$3 epoch=$4 sum config
    sum=$(sha256sum "$layer" | cut -d' ' -f1)
    mkdir "$work/image" "$work/image/$sum"
    mv "$layer" "$work/image/$sum/layer.tar"
    cat >"$work/config.json" <<JSON
{"architecture": "$(dpkg --print-architecture)", "os": "linux", "created": "$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)",
 "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"],
            "Labels": {"dlrm-fleet": "base"}},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$sum"]},
 "history": [{"created_by": "tools/base_archive.sh"}]}
JSON
    config=$(sha256sum "$work/config.json" | cut -d' ' -f1).json
    mv "$work/config.json" "$work/image/$config"
    printf '[{"Config": "%s", "RepoTags": ["dlrm-base:%s"], "Layers": ["%s/layer.tar"]}]\n' \
        "$config" "${sum:0:12}" "$sum" >"$work/image/manifest.json"
    tar -C "$work/image" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu --mtime="@$epoch" -cf "$archive.partial" .
    sync "$archive.partial"
    mv "$archive.partial" "$archive"
    say "wrote '$archive' ($(($(stat -c %s "$archive") >> 20)) MiB), image dlrm-base:${sum:0:12}"
}

main() {
    local reference='' output='' registry
    while [ $# -gt 0 ]; do
        case "$1" in
            --if-no-registry) [ $# -ge 2 ] || { usage >&2; exit 2; }; reference=$2; shift 2 ;;
            -h | --help) usage; exit 0 ;;
            -*) usage >&2; exit 2 ;;
            *) [ -z "$output" ] || { usage >&2; exit 2; }; output=$1; shift ;;
        esac
    done
    [ -n "$output" ] || { usage >&2; exit 2; }
    if [ -s "$output" ]; then
        say "'$output' exists; nothing to do"
        return
    fi
    if [ -n "$reference" ]; then
        registry=$(registry_of "$reference")
        if registry_answers "$registry"; then
            say "the registry '$registry' answers; no archive is needed"
            return
        fi
        say "the registry '$registry' does not answer within 8 s; making '$output' instead"
    fi
    command -v apt-get >/dev/null || die "this machine has no apt-get; only Debian and Ubuntu can make the archive. Make it on one of them, then copy it to '$output'."
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        die "making '$output' needs root, and sudo is not installed. Run it as root."
    fi

    # shellcheck disable=SC1091 # the machine's own file
    . /etc/os-release
    local suite=$VERSION_CODENAME origin=${ID^} work epoch
    mkdir -p "$(dirname "$output")"
    # Beside the output, because /tmp may be small or not allow device files.
    work=$(mktemp -d "$(realpath "$(dirname "$output")")/base-image.XXXXXX")
    # shellcheck disable=SC2064 # the value of now
    trap "as_root rm -rf --one-file-system '$work'" EXIT
    make_rootfs "$work/rootfs" "$suite" "$origin"
    # Times later than the newest package's are from this run, so they are clamped.
    epoch=$(as_root find "$work/rootfs/var/lib/dpkg/info" -name '*.md5sums' -printf '%T@\n' | sort -n | tail -n 1)
    epoch=${epoch%.*}
    as_root tar -C "$work/rootfs" --sort=name --numeric-owner --format=gnu --one-file-system \
        --clamp-mtime --mtime="@$epoch" -cf "$work/layer.tar" .
    as_root chown "$(id -u):$(id -g)" "$work/layer.tar"
    write_archive "$work/layer.tar" "$work" "$output" "$epoch"
}

main "$@"
