# Sourced by tests/run.sh and examples/run.sh (POSIX sh):
#
#     repository=<this repository>
#     . "$repository/tests/setup.sh"
#     holdfast_packages g++ cmake ...   installs what is missing
#     holdfast_libtorch                 a LibTorch and a Python to test with
#
# Downloads are kept in $HOLDFAST_CACHE, by default .cache/ in the repository.

: "${HOLDFAST_CACHE:=$repository/.cache}"
: "${HOLDFAST_LIBTORCH_VERSION:=2.13.0}"

# What every build needs.
holdfast_build_packages="g++ cmake ninja-build ccache nlohmann-json3-dev
  libzstd-dev libxxhash-dev python3-venv ca-certificates"

# Is a Debian package there, or the command that it brings?
holdfast_has() {
  case $1 in
    g++ | cmake | ccache | strace | zstd) command -v "$1" ;;
    ninja-build) command -v ninja ;;
    clang) command -v clang++ ;;
    python3-venv) python3 -c 'import venv, ensurepip' ;;
    *) dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
  esac >/dev/null 2>&1
}

# Installs missing Debian packages; ends the script, saying what to do, where
# it may not.
holdfast_packages() {
  missing=
  for package in "$@"; do
    holdfast_has "$package" || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing (as Debian calls it):$missing" >&2
    echo "This is no Debian: install them by hand and start again." >&2
    exit 1
  fi
  if [ "$(id -u)" = 0 ]; then
    as_root=
  elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
  else
    echo "Missing:$missing" >&2
    echo "As root: apt-get update && apt-get install$missing" >&2
    exit 1
  fi
  echo "== installing:$missing"
  $as_root apt-get -q update || exit 1
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y install --no-install-recommends $missing || exit 1
}

# A Python environment with torch, numpy and safetensors; puts it first in PATH
# and sets HOLDFAST_PYTHON. CMake then finds its LibTorch. pip's own settings
# apply, so a mirror, or an index with smaller builds, is chosen there.
holdfast_libtorch() {
  venv=$HOLDFAST_CACHE/torch-$HOLDFAST_LIBTORCH_VERSION
  if ! [ -e "$venv/complete" ]; then
    echo "== installing torch $HOLDFAST_LIBTORCH_VERSION into $venv"
    rm -rf "$venv"
    mkdir -p "$HOLDFAST_CACHE"
    python3 -m venv "$venv" &&
      "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        "torch==$HOLDFAST_LIBTORCH_VERSION" numpy safetensors || {
      echo "LibTorch could not be installed into $venv" >&2
      exit 1
    }
    touch "$venv/complete"
  fi
  HOLDFAST_PYTHON=$venv/bin/python
  VIRTUAL_ENV=$venv
  PATH=$venv/bin:$PATH
  export HOLDFAST_PYTHON VIRTUAL_ENV PATH
}
