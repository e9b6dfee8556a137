#include "support.hpp"

#include <holdfast/base/text.hpp>

#include <fstream>
#include <iostream>

// interop_writer FILE: writes a safetensors file with every dtype, and tells on
// standard output, a line each, what a reader must find:
// stored dtype, shape, the bytes in hex, and the name.

int main(int argc, char** argv) {
  using namespace holdfast;
  if (argc != 2) {
    std::cerr << "usage: interop_writer FILE\n";
    return 2;
  }
  const std::string text = test::sample_file();
  std::ofstream file(argv[1], std::ios::binary);
  file << text << std::flush;
  if (!file) {
    std::cerr << "cannot write " << argv[1] << '\n';
    return 1;
  }
  for (const TensorEntry& entry : test::read_header(text).entries) {
    // Complex numbers that safetensors lacks lie there as pairs.
    std::vector<std::int64_t> shape = entry.spec.shape;
    const DTypeInfo& logical = info(entry.spec.dtype);
    if (logical.stored_as != logical.dtype) {
      shape.push_back(2);
    }
    std::cout << info(logical.stored_as).name << ' ';
    for (const std::int64_t dimension : shape) {
      std::cout << dimension << ',';
    }
    std::cout << ' ' << to_hex(ByteView(test::sample_bytes(entry))) << ' '
              << entry.spec.name << '\n';
  }
  return 0;
}
