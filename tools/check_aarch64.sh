#!/usr/bin/env bash
# Compute the kernel digest on aarch64, emulated: plain NEON first, then a core with 8-bit dot products (usdot).
# Fails when a digest is not the chain's. Needs Debian or Ubuntu with debootstrap and qemu-user-static, and some 5 minutes.
# Usage: tools/check_aarch64.sh [FOLDER]     FOLDER keeps the system and the wheels (default: a temporary one, removed)
set -euo pipefail
cd "$(dirname "$0")/.."
for program in debootstrap qemu-aarch64-static; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt-get install debootstrap qemu-user-static" >&2; exit 1; }
done
if [ $# -ge 1 ]; then
  mkdir -p "$1"; folder=$(realpath "$1")
else
  folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
fi
system="$folder/system"

if [ ! -e "$folder/ready" ]; then
  rm -rf "$system"
  debootstrap --arch=arm64 --foreign --variant=minbase --include=python3.11,libstdc++6,libgomp1 \
    bookworm "$system" http://deb.debian.org/debian >"$folder/debootstrap.log"
  for package in "$system"/var/cache/apt/archives/*.deb; do dpkg -x "$package" "$system"; done
  for name in llvmlite numba numpy safe-pysha3; do # the locked versions, with their hashes
    sed -n "/^$name==/,/[^\\\\]$/p" requirements/base.txt
  done >"$folder/wheels.txt"
  python3 -m pip --disable-pip-version-check download --quiet --require-hashes --no-deps --only-binary=:all: \
    --python-version 3.11 --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux2014_aarch64 --dest "$folder/wheels" -r "$folder/wheels.txt"
  for wheel in "$folder"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$system/opt/packages"; done
  touch "$folder/ready"
fi

for cpu in generic neoverse-v1; do
  qemu-aarch64-static -cpu max -L "$system" \
    -E PYTHONHOME="$system/usr" -E PYTHONPATH="$PWD:$system/opt/packages" -E PYTHONDONTWRITEBYTECODE=1 \
    -E LD_LIBRARY_PATH="$system/usr/lib/aarch64-linux-gnu" -E ASSAY_CACHE_DIR="$folder/cache-$cpu" \
    -E NUMBA_CPU_NAME="$cpu" -E NUMBA_CPU_FEATURES= \
    "$system/usr/bin/python3.11" -c '
import platform, sys
from precompiles.selftest import KERNEL_DIGEST, kernel_digest
digest = kernel_digest()
print(platform.machine(), sys.argv[1], digest, "equal" if digest == KERNEL_DIGEST else f"expected {KERNEL_DIGEST}", flush=True)
sys.exit(digest != KERNEL_DIGEST)' "$cpu"
done
