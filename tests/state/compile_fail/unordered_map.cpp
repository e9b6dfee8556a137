// expected: this type has no adapter: give it `template <class V> void state
#include <holdfast/state/builtin.hpp>

#include <unordered_map>

void test(std::unordered_map<int, int>& object) {
  (void)holdfast::make_part(object);
}
