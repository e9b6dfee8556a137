// expected: a part is restored in place, so it cannot be a temporary
#include <holdfast/state/builtin.hpp>

void test() {
  (void)holdfast::make_part(1);
}
