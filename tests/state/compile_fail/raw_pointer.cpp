// expected: give the object and not a pointer to it: `.pointer`
#include <holdfast/state/builtin.hpp>

void test(int* object) {
  (void)holdfast::make_part(object);
}
