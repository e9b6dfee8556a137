#include <holdfast/core.hpp>

#include <iostream>

int main() {
  int trained = 0;
  holdfast::Manager checkpoints(
      "run", holdfast::Options().save_every(holdfast::steps(2)));
  checkpoints.add("trained", trained);
  checkpoints.resume();
  while (checkpoints.running(holdfast::steps(4))) {
    ++trained;
    checkpoints.step();
  }

  int loaded = 0;
  holdfast::PartSet parts;
  parts.add("trained", holdfast::make_part(loaded));
  holdfast::load("run", parts);
  std::cout << "holdfast " << HOLDFAST_VERSION_STRING << ": trained " << loaded
            << " steps\n";
}
