#!/bin/sh
# First process of a test host: prepares the mounts that a container engine needs, then starts the host's own init.
# The mounts are this container's own (private cgroup namespace), never the machine's.
set -eu
mount -o remount,rw /sys/fs/cgroup || true
for controller in /sys/fs/cgroup/*; do
    if mountpoint -q "$controller"; then mount -o remount,rw,bind "$controller"; fi
done
mount -o remount,rw,bind /proc/sys 2>/dev/null || true
# The key that may log in over SSH.
if [ -n "${DLRM_TEST_AUTHORIZED_KEY:-}" ]; then
    install -d -m 0700 -o bench -g bench /home/bench/.ssh
    printf '%s\n' "$DLRM_TEST_AUTHORIZED_KEY" >/home/bench/.ssh/authorized_keys
    chown bench:bench /home/bench/.ssh/authorized_keys
fi
mkdir -p /run/sshd
exec "$@"
