#if __has_include(<holdfast/core.hpp>)
#include <holdfast/core.hpp>
#else
#include <holdfast/base/error.hpp>
#include <holdfast/base/version.hpp>
#endif

#include <iostream>

int main() {
  try {
    holdfast::throw_invalid_argument("keep_last", "must be at least 1", "0");
  } catch (const holdfast::Error& error) {
    std::cout << "holdfast " << HOLDFAST_VERSION_STRING << ": "
              << holdfast::to_string(error.code()) << '\n';
  }
}
