#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/engine/report.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/process.hpp>

#include <memory>
#include <string>

namespace holdfast {

/// Loads a checkpoint into `parts`, strictly by name, without a manager: for
/// inference and fine-tuning. `path` is a checkpoint, under its own
/// name or another (a copy, LATEST), or a run directory, of which the newest
/// valid one of the current line is taken. Parts of the
/// checkpoint that are not in `parts` are left alone, and so are the mode
/// (`train()`, `eval()`), `requires_grad` and gradients of modules and tensors
/// that are: only `resume()` restores these. Never writes or moves
/// anything, needs no write permission, and holds off a running job's
/// retention while it reads. All or nothing: if it throws, nothing has changed.
ResumeReport load(
    const std::string& path,
    const PartSet& parts,
    FileSystem& file_system,
    Clock& clock);
ResumeReport load(const std::string& path, const PartSet& parts);

} // namespace holdfast

#if HOLDFAST_HEADER_ONLY
#include <holdfast/engine/impl/load.ipp>
#endif
