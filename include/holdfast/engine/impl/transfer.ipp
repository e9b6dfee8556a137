#pragma once

#include <holdfast/engine/transfer.hpp>

#include <holdfast/base/error.hpp>
#include <holdfast/base/text.hpp>
#include <holdfast/io/terminal.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace holdfast {

HOLDFAST_INLINE std::string to_string(const TransferProgress& progress) {
  constexpr std::size_t kMostText = 79;
  constexpr std::size_t kWidth = 20;
  const double share = progress.total_bytes == 0
      ? 1
      : std::min(
            static_cast<double>(progress.bytes) /
                static_cast<double>(progress.total_bytes),
            1.0);
  // Rounded down: full is only what is done.
  const auto filled = static_cast<std::size_t>(share * kWidth);
  const std::string percent =
      std::to_string(static_cast<int>(share * 100)) + " %";
  const std::string before =
      progress.kind == TransferProgress::Kind::saving ? "saving " : "loading ";
  const std::string after = " [" + std::string(filled, '#') +
      std::string(kWidth - filled, '-') + "] " +
      std::string(5 - std::min<std::size_t>(percent.size(), 5), ' ') + percent +
      ", " + format_bytes(progress.bytes) + " of " +
      format_bytes(progress.total_bytes);
  const std::size_t room = kMostText - before.size() - after.size();
  return before + first_line(progress.checkpoint).substr(0, room) + after;
}

HOLDFAST_INLINE void print_transfer(const TransferProgress& progress) {
  if (stderr_is_in_foreground()) {
    rewrite_line(progress.over ? std::string() : to_string(progress));
  }
}

HOLDFAST_INLINE TransferListener
transfer_listener(TransferHandler handler, double interval_seconds) {
  if (!(interval_seconds > 0) || !std::isfinite(interval_seconds)) {
    throw_invalid_argument(
        "on_transfer",
        "the interval must be above 0 and finite",
        format_number(interval_seconds));
  }
  return TransferListener{std::move(handler), interval_seconds};
}

HOLDFAST_INLINE TransferMeter::TransferMeter(
    const TransferListener& listener,
    Clock& clock,
    TransferProgress::Kind kind,
    std::string checkpoint,
    std::function<void()> pulse)
    : listener_(listener),
      clock_(clock),
      pulse_(std::move(pulse)),
      began_(clock.monotonic_seconds()),
      told_(began_) {
  progress_.kind = kind;
  progress_.checkpoint = std::move(checkpoint);
}

HOLDFAST_INLINE TransferMeter::~TransferMeter() {
  if (!has_told_) {
    return;
  }
  try {
    progress_.over = true;
    tell(clock_.monotonic_seconds());
  } catch (...) { // who only looks must not end a save
  }
}

HOLDFAST_INLINE void TransferMeter::expect(std::uint64_t total_bytes) noexcept {
  progress_.total_bytes = total_bytes;
}

HOLDFAST_INLINE void TransferMeter::add(std::uint64_t bytes) noexcept {
  progress_.bytes += bytes;
  try {
    if (pulse_) {
      pulse_();
    }
    if (!listener_.handler) {
      return;
    }
    const double now = clock_.monotonic_seconds();
    if (now - told_ >= listener_.interval_seconds) {
      has_told_ = true;
      tell(now);
    }
  } catch (...) { // as above
  }
}

HOLDFAST_INLINE void TransferMeter::tell(double now) {
  told_ = now;
  progress_.seconds = now - began_;
  listener_.handler(progress_);
}

} // namespace holdfast
