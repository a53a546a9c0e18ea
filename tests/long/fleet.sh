#!/usr/bin/env bash
# Tests on SSH hosts made of containers: transfers through a bastion, a failing storage node, network or disk, and 32 hosts of
# which three do not finish.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The systemd of each of 33 hosts takes inotify instances. Most machines allow a user 128.
if [ "$(cat /proc/sys/fs/inotify/max_user_instances)" -lt 512 ]; then sysctl --quiet --write fs.inotify.max_user_instances=512; fi

export PYTHONPATH="$PWD/tests/plugins${PYTHONPATH:+:$PYTHONPATH}"
exec python -m pytest -p no_silent_skips tests/fleet/long_storage_faults.py tests/fleet/long_storage_bastion.py tests/fleet/long_own_pace.py tests/fleet/long_two_architectures.py tests/fleet/long_one_bad_of_each.py "$@"
