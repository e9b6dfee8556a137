#include <holdfast/core.hpp>

#include <iostream>

int main() {
  try {
    holdfast::throw_invalid_argument("keep_last", "must be at least 1", "0");
  } catch (const holdfast::Error& error) {
    std::cout << "holdfast " << HOLDFAST_VERSION_STRING << ": "
              << holdfast::to_string(error.code()) << '\n';
  }
}
