// expected: this type has no adapter: give it `template <class V> void state
#include <holdfast/state/builtin.hpp>

struct Opaque {
  int number = 0;
};

void test(Opaque& object) {
  (void)holdfast::make_part(object);
}
