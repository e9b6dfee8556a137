// expected: a member is restored in place, so it cannot be a temporary
#include <holdfast/state/builtin.hpp>

struct Object {
  template <class V>
  void state(V& v) {
    v("one", 1);
  }
};

void test(Object& object) {
  (void)holdfast::make_part(object);
}
