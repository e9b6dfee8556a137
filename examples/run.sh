#!/bin/sh
# Shows that a killed run ends like one that was not:
#
#     sh examples/run.sh
#
# Builds the digits example, trains once from beginning to end, then trains
# again in another directory, kills that run with SIGKILL at random moments,
# every other time in the next save, and starts it again each time. Prints the
# digest of both runs' final weights; exit status 1 if they differ.
#
# Installs missing packages as root or by sudo. Everything built or downloaded
# is kept in $HOLDFAST_CACHE (default: .cache/ in the repository).
# HOLDFAST_KILLS says how often to kill (8), HOLDFAST_SEED which random moments.
set -u

repository=$(cd "$(dirname "$0")/.." && pwd) || exit 1
. "$repository/tests/setup.sh"

kills=${HOLDFAST_KILLS:-8}
seed=${HOLDFAST_SEED:-$(($(date +%s) % 100000))}
case $kills in '' | *[!0-9]* | 0)
  echo "HOLDFAST_KILLS is a number from 1, not '$kills'" >&2
  exit 2
  ;;
esac
case $seed in '' | *[!0-9]*)
  echo "HOLDFAST_SEED is a number, not '$seed'" >&2
  exit 2
  ;;
esac

# shellcheck disable=SC2086
holdfast_packages $holdfast_build_packages
holdfast_libtorch

build=$HOLDFAST_CACHE/build/examples
runs=$HOLDFAST_CACHE/runs
echo "== building examples/digits.cpp"
mkdir -p "$build" || exit 1
if ! {
  cmake -S "$repository" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DHOLDFAST_BUILD_TESTS=OFF -DHOLDFAST_BUILD_EXAMPLES=ON \
    -DHOLDFAST_LIBTORCH=python &&
    cmake --build "$build" --target digits
} >"$build/log.txt" 2>&1; then
  cat "$build/log.txt" >&2
  echo "The example could not be built." >&2
  exit 1
fi

# The same command line for every run, but for the directory.
digits() {
  directory=$1
  exec "$build/examples/digits" --dir "$directory" --epochs 12 --save-every 4 \
    --data "$repository/examples/data/digits.csv"
}
weights() {
  sed -n 's/^weights //p' "$1"
}
milliseconds() {
  echo $(($(date +%s%N) / 1000000))
}
# Not so for one that has ended and is not waited for yet.
is_running() {
  read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" && [ "$state" != Z ]
}
# Waits until the run has told where it starts, or has ended.
wait_for_report() {
  while ! [ -s "$1" ] && is_running "$2"; do
    sleep 0.02
  done
}
# Is a checkpoint being written in this directory?
is_saving() {
  for staging in "$1"/.staging-*; do
    [ -e "$staging" ] && return
  done
  return 1
}

rm -rf "$runs"
mkdir -p "$runs" || exit 1

echo
echo "== one run from beginning to end"
(digits "$runs/whole") >"$runs/whole.log" &
pid=$!
wait_for_report "$runs/whole.log" $pid
began=$(milliseconds)
wait $pid
status=$?
took=$(($(milliseconds) - began))
cat "$runs/whole.log"
if [ $status != 0 ]; then
  echo "The run failed with exit status $status." >&2
  exit 1
fi

# Each life is on average so short that the kills end before the training does.
longest=$((took * 3 / 2 / kills))
echo
echo "== the same run, killed up to $kills times within $longest ms of its start (seed $seed)"
killed=0
within_save=0
while :; do
  rm -f "$runs/killed.log"
  (digits "$runs/killed") >"$runs/killed.log" &
  pid=$!
  if [ $killed -lt "$kills" ]; then
    wait_for_report "$runs/killed.log" $pid
    began=$(milliseconds)
    moment=$(awk -v seed=$((seed + killed)) -v longest=$longest \
      'BEGIN { srand(seed); rand(); printf "%d", rand() * longest }')
    sleep "$(awk -v moment="$moment" 'BEGIN { print moment / 1000 }')"
    if [ $((killed % 2)) = 1 ]; then
      while ! is_saving "$runs/killed" && is_running $pid; do :; done
      moment=$(($(milliseconds) - began))
    fi
    kill -KILL $pid 2>/dev/null
  fi
  wait $pid 2>/dev/null
  status=$?
  cat "$runs/killed.log"
  case $status in
    0) break ;;
    137) ;;
    *)
      echo "The run failed with exit status $status." >&2
      exit 1
      ;;
  esac
  killed=$((killed + 1))
  where=
  if is_saving "$runs/killed"; then
    where=", in the middle of a save"
    within_save=$((within_save + 1))
  fi
  echo "-- killed after $moment ms$where"
done

whole=$(weights "$runs/whole.log")
resumed=$(weights "$runs/killed.log")
echo
echo "never killed:    weights $whole"
echo "killed $killed times: weights $resumed ($within_save kills in the middle of a save)"
if [ -z "$whole" ] || [ "$whole" != "$resumed" ]; then
  echo "The weights DIFFER."
  exit 1
fi
if [ "$killed" = 0 ]; then
  echo "No kill came before the end."
  exit 1
fi
echo "The weights are equal, bit for bit."
