#pragma once

#include <holdfast/base/config.hpp>
#include <holdfast/engine/load_options.hpp>
#include <holdfast/engine/load_report.hpp>
#include <holdfast/engine/part_set.hpp>
#include <holdfast/io/file_system.hpp>
#include <holdfast/io/process.hpp>

#include <memory>
#include <string>

namespace holdfast {

/// Loads a checkpoint into `parts`, by name, without a manager: for inference
/// and fine-tuning. `path` is a checkpoint, under its own
/// name or another (a copy, LATEST), or a run directory, of which the newest
/// valid one of the current line is taken. Parts of the
/// checkpoint that are not in `parts` are left alone (only the presence and
/// size of their files are looked at), and so are the mode
/// (`train()`, `eval()`), `requires_grad` and gradients of modules and tensors
/// that are: only `resume()` restores these. Everything has to match but what
/// `options` allow. Never writes or moves
/// anything, needs no write permission, and holds off a running job's
/// retention while it reads. All or nothing: if it throws, nothing has changed.
LoadReport load(
    const std::string& path,
    const LoadOptions& options,
    const PartSet& parts,
    FileSystem& file_system,
    Clock& clock);
LoadReport load(
    const std::string& path,
    const LoadOptions& options,
    const PartSet& parts);
/// The same without options.
LoadReport load(
    const std::string& path,
    const PartSet& parts,
    FileSystem& file_system,
    Clock& clock);
LoadReport load(const std::string& path, const PartSet& parts);

} // namespace holdfast

#if HOLDFAST_BODIES
#include <holdfast/engine/impl/load.ipp>
#endif
