#pragma once

/// Everything a LibTorch training loop needs. Include it after
/// `torch/torch.h`, which it does not include itself.
#include <holdfast/checkpoint_manager.hpp>
#include <holdfast/core.hpp>
