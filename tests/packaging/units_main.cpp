#include <cstring>

const char* first();
const char* second();

// Header-only bodies that are not inline do not link in two translation units.
int main() {
  return std::strcmp(first(), second());
}
