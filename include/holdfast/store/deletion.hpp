#pragma once

namespace holdfast {

/// Where the files of a removed checkpoint are deleted.
enum class Deletion {
  at_once, ///< By the call that removes it.
  in_background, ///< By a thread: large files take the system a while.
};

} // namespace holdfast
