#!/bin/sh
# run_on_gpu.sh <TRUE|FALSE: LibTorch has CUDA> <program> [argument ...]
# Runs the program where there is a GPU; exits 77 (skipped) where there is none.
set -u
with_cuda=$1
shift
if [ "$with_cuda" != TRUE ]; then
  echo "skipped: this LibTorch was built without CUDA"
  exit 77
fi
if ! ls /dev/nvidia[0-9]* >/dev/null 2>&1 && ! nvidia-smi -L >/dev/null 2>&1; then
  echo "skipped: no GPU on this machine"
  exit 77
fi
exec "$@"
