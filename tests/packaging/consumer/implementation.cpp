#define HOLDFAST_IMPLEMENTATION
#include <holdfast/holdfast.hpp>
