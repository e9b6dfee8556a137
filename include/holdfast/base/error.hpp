#pragma once

#include <holdfast/base/config.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace holdfast {

/// One code per broken rule. Each has a test and an entry in docs/errors.md.
/// The numbers are not persistent: only the names are.
enum class ErrorCode {
  // Use of the API.
  invalid_argument, ///< An option, name or value that is not allowed.
  not_resumed, ///< step() or save() before resume() or start_fresh().
  already_resumed, ///< resume(), start_fresh() or add() after a resume().
  bad_metric, ///< A value that a `KeepBest` rule refuses.
  unknown_metric, ///< A metric was asked for that was never reported.
  epoch_not_ended, ///< begin() of an exhausted loader before end_epoch().
  preempted, ///< The run was saved and has to end: `AfterPreemption::raise`.
  diverged, ///< And going back did not help: `rollback_on_divergence`.
  rolled_back, ///< step() with a batch from before a rollback().
  duplicate_name, ///< Two parts, tensors or keys with one name.
  forked, ///< A call in a forked child of the owning process.
  // What can be captured and restored.
  not_capturable, ///< The object has state that cannot be saved.
  part_missing, ///< A registered part is not in the checkpoint.
  part_unexpected, ///< The checkpoint has a part nobody registered.
  type_mismatch, ///< Another kind of object, value or optimizer than saved.
  name_missing, ///< A tensor or value of the object is not in the checkpoint.
  name_unexpected, ///< The checkpoint has one that the object lacks.
  shape_mismatch, ///< Same name, other shape.
  dtype_mismatch, ///< Same name, other dtype.
  value_out_of_range, ///< A saved number does not fit the type asked for.
  data_changed, ///< The data set is not the one the position belongs to.
  // Files from the file system's point of view.
  not_found, ///< ENOENT.
  already_exists, ///< EEXIST, ENOTEMPTY.
  no_space, ///< ENOSPC, EDQUOT, EFBIG.
  permission_denied, ///< EACCES, EPERM.
  read_only, ///< EROFS.
  not_a_directory, ///< ENOTDIR, or a link where a directory must be (ELOOP).
  cross_device, ///< EXDEV: this rename is not possible here.
  not_supported, ///< ENOSYS, EOPNOTSUPP, ENOLCK: the file system lacks it.
  io_error, ///< EIO and every other system error.
  // Bytes that are not what the format allows.
  malformed_json, ///< Not JSON, a duplicate key, or nested too deeply.
  malformed_value, ///< JSON, but not a typed value of this format.
  malformed_tensors, ///< Not a safetensors file, or breaks a rule of it.
  malformed_manifest, ///< Complete and intact, but not a manifest.
  malformed_compression, ///< Not zstd frames, or of another size than declared.
  limit_exceeded, ///< Larger, deeper or longer than the format allows.
  unsupported_dtype, ///< A dtype that safetensors cannot hold.
  unsupported_version, ///< A newer major format version or an unknown codec.
  checksum_mismatch, ///< Bytes are not the ones that were written.
  // Checkpoint directories.
  incomplete, ///< A part of the checkpoint is missing.
  damaged, ///< Two complete reads give the same wrong digest.
  unstable, ///< Two reads of one file differ: reader or path is broken.
  unreadable, ///< A system error that does not go away.
  foreign, ///< A name its manifest contradicts, or a number used twice.
  other_run, ///< The checkpoint has another `Options::run_name`.
  no_usable_checkpoint, ///< Traces of a former run, but nothing to resume from.
  locked, ///< Another process writes to this directory.
  lost_lock, ///< This process no longer owns the directory.
};

/// The enumerator's name, e.g. "shape_mismatch".
[[nodiscard]] const char* to_string(ErrorCode code) noexcept;

/// What an error is about; unset texts are empty.
struct ErrorDetails {
  std::string message; ///< What happened, in words, without a full stop.
  std::string path; ///< Checkpoint, file or directory.
  std::string name; ///< Tensor, value, option or part.
  std::string expected; ///< What the reader or the object demanded.
  std::string found; ///< What was there instead.
  int system_error = 0; ///< errno, where a system call failed.
};

/// The one exception type of the library. `what()` answers what, where, which,
/// expected, found, and ends with the code in brackets.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, ErrorDetails details);
  Error(ErrorCode code, std::string message);

  [[nodiscard]] ErrorCode code() const noexcept {
    return code_;
  }
  [[nodiscard]] const ErrorDetails& details() const noexcept {
    return details_;
  }
  [[nodiscard]] const std::string& path() const noexcept {
    return details_.path;
  }
  [[nodiscard]] const std::string& name() const noexcept {
    return details_.name;
  }
  [[nodiscard]] const std::string& expected() const noexcept {
    return details_.expected;
  }
  [[nodiscard]] const std::string& found() const noexcept {
    return details_.found;
  }
  [[nodiscard]] int system_error() const noexcept {
    return details_.system_error;
  }

  /// The same error, told about `path` when it names none yet.
  [[nodiscard]] Error at(std::string_view path) const;

 private:
  ErrorCode code_;
  ErrorDetails details_;
};

/// Throws `Error(ErrorCode::invalid_argument, ...)` about option `name`.
[[noreturn]] void throw_invalid_argument(
    std::string name,
    std::string message,
    std::string found = {});

/// What the exception that is being handled says.
[[nodiscard]] std::string current_exception_text();

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/base/impl/error.ipp>
#endif
