// expected: a part is restored in place, so it cannot be const
#include <holdfast/state/builtin.hpp>

void test(std::shared_ptr<const int>& object) {
  (void)holdfast::make_part(object);
}
