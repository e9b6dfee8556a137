#!/bin/sh
# Builds and runs all tests on a Debian machine, from nothing:
#
#     sh tests/run.sh                all runs below
#     sh tests/run.sh main asan      some of them
#
#   main     g++, C++17, LibTorch 2.13: every test
#   cxx20    g++, C++20, LibTorch 2.13: the tests that use LibTorch, without the
#            examples
#   asan     clang++, C++20, without LibTorch: every test, with address and
#            undefined behaviour checked
#   clang    clang++, C++17, without LibTorch: the library, without its tests
#   oldest   g++, C++17, the system's LibTorch (Debian 12: 1.13.1): the tests that
#            use LibTorch
#
# The exhaustive tests are exhaustive in main and, those that use LibTorch, in
# oldest; the others run all of them with HOLDFAST_TEST_EFFORT=thin
# (docs/developing.md), unless it is set already.
#
# Installs missing packages as root or by sudo. Everything built or downloaded
# is kept in $HOLDFAST_CACHE (default: .cache/ in the repository). The last line
# says how many tests passed and failed over all runs; exit status 1 when one
# failed, when a run could not be built, or when a run had no tests.
set -u

repository=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$repository/tests/setup.sh"

runs=${*:-main cxx20 asan clang oldest}
for run in $runs; do
  case $run in
    main | cxx20 | asan | clang | oldest) ;;
    *)
      echo "unknown run '$run'" >&2
      sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
done

# shellcheck disable=SC2086
holdfast_packages $holdfast_build_packages catch2 zstd strace
case " $runs " in *" asan "* | *" clang "*) holdfast_packages clang ;; esac
case " $runs " in
  *" asan "*)
    version=$(clang++ -dumpversion)
    holdfast_packages "libclang-rt-${version%%.*}-dev"
    # Where there is no llvm-symbolizer, the linker's tools name the places.
    ASAN_OPTIONS=${ASAN_OPTIONS:-allow_addr2line=1}
    UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:allow_addr2line=1}
    export ASAN_OPTIONS UBSAN_OPTIONS
    ;;
esac
case " $runs " in *" oldest "*) holdfast_packages libtorch-dev ;; esac
# The torch-free runs compare with Python's safetensors too.
holdfast_libtorch

jobs=${HOLDFAST_JOBS:-$(nproc)}
# Precompiled headers can be cached only when their time stamps are ignored.
CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros,include_file_mtime,include_file_ctime}
export CCACHE_SLOPPINESS

passed=0
failed=0
skipped=0
summary=

# run_tests <name> <what to build> <ctest arguments> <cmake arguments ...>
run_tests() {
  name=$1
  target=$2
  selection=$3
  shift 3
  build=$HOLDFAST_CACHE/build/$name
  began=$(date +%s)
  echo
  echo "== $name: configure and build"
  if ! cmake -S "$repository" -B "$build" -G Ninja \
    -DHOLDFAST_BUILD_TESTS=ON -DHOLDFAST_WERROR=ON -DHOLDFAST_TEST_UNITY=ON \
    -DCMAKE_CXX_FLAGS=-O0 \
    -DHOLDFAST_PYTHON="$HOLDFAST_PYTHON" "$@" ||
    ! cmake --build "$build" --parallel "$jobs" --target "$target"; then
    failed=$((failed + 1))
    summary="$summary
  $name: could not be built (counted as 1 failed)"
    return
  fi
  built=$(date +%s)
  echo "== $name: test ($effort)"
  rm -f "$build/results.xml"
  # shellcheck disable=SC2086
  HOLDFAST_TEST_EFFORT=$effort ctest --test-dir "$build" --parallel "$jobs" \
    --output-on-failure --no-tests=error \
    --output-junit "$build/results.xml" $selection
  status=$?
  ended=$(date +%s)
  count() {
    sed -n "/<testsuite /,/>/s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" \
      "$build/results.xml" 2>/dev/null | head -n 1
  }
  total=$(count tests)
  bad=$(count failures)
  skip=$(count skipped)
  disabled=$(count disabled)
  total=${total:-0}
  bad=${bad:-0}
  not_run=$((${skip:-0} + ${disabled:-0}))
  # ctest knows of failures that its report does not count.
  if [ "$status" != 0 ] && [ "$bad" = 0 ]; then
    bad=1
    total=$((total > 0 ? total : 1))
  fi
  good=$((total - bad - not_run))
  passed=$((passed + good))
  failed=$((failed + bad))
  skipped=$((skipped + not_run))
  summary="$summary
  $name: $good passed, $bad failed, $not_run skipped (build $((built - began)) s, tests $((ended - built)) s)"
}

for run in $runs; do
  case $run in
    main | oldest) effort=${HOLDFAST_TEST_EFFORT:-full} ;;
    *) effort=${HOLDFAST_TEST_EFFORT:-thin} ;;
  esac
  case $run in
    main)
      run_tests main all "" -DCMAKE_CXX_COMPILER=g++ -DCMAKE_CXX_STANDARD=17 \
        -DHOLDFAST_LIBTORCH=python
      ;;
    cxx20)
      run_tests cxx20 holdfast_torch_tests "-L torch" \
        -DCMAKE_CXX_COMPILER=g++ -DCMAKE_CXX_STANDARD=20 \
        -DHOLDFAST_LIBTORCH=python -DHOLDFAST_PACKAGING_TESTS=OFF \
        -DHOLDFAST_BUILD_EXAMPLES=OFF
      ;;
    asan)
      run_tests asan all "" -DCMAKE_CXX_COMPILER=clang++ \
        -DCMAKE_CXX_STANDARD=20 -DCMAKE_CXX_FLAGS=-O0\ -g1 \
        -DHOLDFAST_WITH_LIBTORCH=OFF -DHOLDFAST_SANITIZE=address,undefined \
        -DHOLDFAST_PACKAGING_TESTS=OFF
      ;;
    clang)
      run_tests clang holdfast_core_compiled "-R ^one.definition" \
        -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_CXX_STANDARD=17 \
        -DHOLDFAST_WITH_LIBTORCH=OFF
      ;;
    oldest)
      run_tests oldest holdfast_torch_tests "-L torch" \
        -DCMAKE_CXX_COMPILER=g++ -DCMAKE_CXX_STANDARD=17 \
        -DHOLDFAST_LIBTORCH=system -DHOLDFAST_PACKAGING_TESTS=OFF
      ;;
  esac
done

echo
echo "== all runs:$summary"
[ "$skipped" = 0 ] || echo "  $skipped skipped (their output says why)"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
