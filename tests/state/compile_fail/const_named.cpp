// expected: a part is restored in place, so it cannot be const
#include <holdfast/state/builtin.hpp>

void test(const int& object) {
  (void)holdfast::named("object", object);
}
