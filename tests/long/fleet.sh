#!/usr/bin/env bash
# Transfers through a bastion, and with a storage node, a network or a disk that fails; 32 hosts of which three are lost: SSH hosts made of containers.
set -euo pipefail
cd "$(dirname "$0")/../.."

# 33 hosts on one kernel: each one's systemd watches files. Most machines allow a user 128 such instances.
if [ "$(cat /proc/sys/fs/inotify/max_user_instances)" -lt 512 ]; then sysctl --quiet --write fs.inotify.max_user_instances=512; fi

export PYTHONPATH="$PWD/tests/plugins${PYTHONPATH:+:$PYTHONPATH}"
exec python -m pytest -p no_silent_skips tests/fleet/long_storage_faults.py tests/fleet/long_storage_bastion.py tests/fleet/long_own_pace.py tests/fleet/long_two_architectures.py tests/fleet/long_one_bad_of_each.py "$@"
