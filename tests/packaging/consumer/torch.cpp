#include <holdfast/holdfast.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>

#include <iostream>

int main() {
  // A kernel, not only a symbol: LibTorch's operators must be registered.
  if (at::ones({2, 3}).sum().item<double>() != 6) {
    return 1;
  }
  try {
    holdfast::throw_invalid_argument("keep_last", "must be at least 1", "0");
  } catch (const holdfast::Error& error) {
    std::cout << "holdfast " << HOLDFAST_VERSION_STRING << ": "
              << holdfast::to_string(error.code()) << '\n';
  }
}
