#!/bin/sh
# Builds and runs the tests that use LibTorch with the versions of LibTorch that
# other Debian releases have, the resume matrix in full:
#
#     sudo sh tests/versions.sh                all of them
#     sudo sh tests/versions.sh trixie         one
#
#   trixie   LibTorch 2.6, C++17
#   sid      the newest that Debian has, C++20
#
# Each lives in a folder of its own, made by debootstrap (3 GB) and entered by
# chroot, which only root may do. They are kept in $HOLDFAST_CACHE/suites, by
# default .cache/suites in the repository. Packages come from where this
# machine's own do. Not part of tests/run.sh: it takes half an hour.
set -u

repository=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$repository/tests/setup.sh"

if [ "$(id -u)" != 0 ]; then
  echo "debootstrap and chroot need root" >&2
  exit 2
fi
suites=${*:-trixie sid}
for suite in $suites; do
  case $suite in
    trixie | sid) ;;
    *)
      echo "unknown suite '$suite'" >&2
      sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
done
holdfast_packages debootstrap

mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)
jobs=${HOLDFAST_JOBS:-$(nproc)}
summary=
bad=0

# in_suite <root> <command ...>: in the chroot, with what programs expect.
in_suite() {
  root=$1
  shift
  mount -t proc proc "$root/proc" &&
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" &&
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
      LC_ALL=C.UTF-8 ${http_proxy:+http_proxy="$http_proxy"} \
      ${https_proxy:+https_proxy="$https_proxy"} "$@"
  status=$?
  umount "$root/dev/shm" "$root/proc"
  return $status
}

for suite in $suites; do
  standard=17
  [ "$suite" = trixie ] || standard=20
  root=$HOLDFAST_CACHE/suites/$suite
  if ! [ -e "$root/complete" ]; then
    echo "== $suite: debootstrap"
    rm -rf "$root"
    mkdir -p "$root"
    if ! debootstrap --variant=minbase \
      --include=g++,cmake,ninja-build,python3,catch2,nlohmann-json3-dev,libzstd-dev,libxxhash-dev \
      "$suite" "$root" "$mirror"; then
      echo "== $suite: debootstrap failed; its log: $root/debootstrap/debootstrap.log" >&2
      summary="$summary
  $suite: no system"
      bad=1
      continue
    fi
    mkdir -p "$root/dev/shm"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    for settings in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
      [ -f "$settings" ] && cp "$settings" "$root/etc/apt/apt.conf.d/"
    done
    in_suite "$root" sh -c 'apt-get -q update && DEBIAN_FRONTEND=noninteractive \
      apt-get -q -y install --no-install-recommends libtorch-dev && apt-get clean' || {
      summary="$summary
  $suite: libtorch-dev could not be installed"
      bad=1
      continue
    }
    touch "$root/complete"
  fi
  echo "== $suite: build and test"
  rm -rf "$root/source"
  mkdir -p "$root/source"
  (cd "$repository" && git ls-files -z | xargs -0 tar -cf -) |
    tar -xf - -C "$root/source"
  version=$(in_suite "$root" dpkg-query -W -f='${Version}' libtorch-dev)
  if in_suite "$root" sh -ec "
      cmake -S /source -B /build -G Ninja -DHOLDFAST_BUILD_TESTS=ON \
        -DCMAKE_CXX_FLAGS=-O0 -DCMAKE_CXX_STANDARD=$standard \
        -DHOLDFAST_LIBTORCH=system -DHOLDFAST_PACKAGING_TESTS=OFF
      cmake --build /build --parallel $jobs --target holdfast_torch_tests
      ctest --test-dir /build -L torch --verbose --no-tests=error"; then
    result="passed"
  else
    result="FAILED"
    bad=1
  fi
  summary="$summary
  $suite: libtorch-dev $version, C++$standard: $result"
done

echo
echo "== all suites:$summary"
exit $bad
