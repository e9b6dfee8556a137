// expected: a type needs both `Values save_state.. const` and `void
#include <holdfast/state/builtin.hpp>

struct Object {
  holdfast::Values save_state() const;
};

void test(Object& object) {
  (void)holdfast::make_part(object);
}
