#!/bin/sh
# Builds libdlrm_int8.so: build.sh FOLDER [COMPILER]. The file of each instruction set has flags of its own; the
# library checks the CPU before it calls one. At run time it needs only the C and math libraries.
set -eu
target=$(cd "$1" && pwd)
compiler=${2:-g++}
cd "$(dirname "$0")"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
common="-std=c++17 -O3 -fPIC -fvisibility=default -ffp-contract=off -fno-math-errno -fno-exceptions -fno-rtti -Wall -Wextra -Werror -Wno-psabi"
case $("$compiler" -dumpmachine) in
x86_64-*)
    # shellcheck disable=SC2086
    "$compiler" $common -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mprefer-vector-width=512 -Wno-maybe-uninitialized -Wno-uninitialized -c vnni.cpp -o "$objects/fast.o"
    ;;
aarch64-*)
    # shellcheck disable=SC2086
    "$compiler" $common -march=armv8.2-a+i8mm -c i8mm.cpp -o "$objects/fast.o"
    ;;
esac
for name in portable int8; do
    # shellcheck disable=SC2086
    "$compiler" $common -c "$name.cpp" -o "$objects/$name.o"
done
"$compiler" -shared -o "$target/libdlrm_int8.so" "$objects"/*.o -lm
