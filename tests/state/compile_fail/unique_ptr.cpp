// expected: give the object and not a pointer to it: `.pointer`
#include <holdfast/state/builtin.hpp>

void test(std::unique_ptr<int>& object) {
  (void)holdfast::make_part(object);
}
