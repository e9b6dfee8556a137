#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/io/process.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace holdfast {

/// How far a save or a load is.
struct TransferProgress {
  enum class Kind { saving, loading };
  Kind kind = Kind::saving;
  std::string checkpoint; ///< Its name.
  /// Of all files with tensors, uncompressed: given to the system, or read.
  std::uint64_t bytes = 0;
  std::uint64_t total_bytes = 0;
  double seconds = 0; ///< Since it began.
  bool over = false; ///< The last call for this transfer, however it ended.
};

/// For people, without a newline and at most 79 characters: "saving
/// ckpt-000024-step-12000 [########------------]  41 %, 3.1 GB of 7.4 GB".
[[nodiscard]] std::string to_string(const TransferProgress& progress);

/// Called on the thread that saves or loads, in the midst of it: it may look at
/// nothing but its argument. What it throws is swallowed.
using TransferHandler = std::function<void(const TransferProgress&)>;

/// The default: a bar in the current line of stderr, wiped when it is over, if
/// that is a terminal in whose foreground the program runs; otherwise nothing.
void print_transfer(const TransferProgress& progress);

/// Who is told of transfers, and how often.
struct TransferListener {
  TransferHandler handler = print_transfer; ///< Empty: nobody.
  double interval_seconds = 1;
};

/// `invalid_argument` for an interval that is not above 0 and finite.
[[nodiscard]] TransferListener transfer_listener(
    TransferHandler handler,
    double interval_seconds);

/// Follows one transfer: tells the listener for the first time when it has
/// lasted the interval, so that short ones go without a word, then after each
/// interval, and, if it has told anything, at the end. `pulse` is called with
/// every piece; empty: nothing is.
class TransferMeter {
 public:
  /// `listener` and `clock` must outlive this.
  TransferMeter(
      const TransferListener& listener,
      Clock& clock,
      TransferProgress::Kind kind,
      std::string checkpoint,
      std::function<void()> pulse = {});
  ~TransferMeter();
  TransferMeter(const TransferMeter&) = delete;
  TransferMeter& operator=(const TransferMeter&) = delete;

  /// How much there is in all; before the first `add()`.
  void expect(std::uint64_t total_bytes) noexcept;
  void add(std::uint64_t bytes) noexcept;

 private:
  void tell(double now);

  const TransferListener& listener_;
  Clock& clock_;
  std::function<void()> pulse_;
  TransferProgress progress_;
  double began_;
  double told_; ///< The last time; at first the beginning.
  bool has_told_ = false;
};

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/transfer.ipp>
#endif
