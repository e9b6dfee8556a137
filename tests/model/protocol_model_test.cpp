#include <support/catch.hpp>
#include <support/random.hpp>

#include <model/protocol_invariants.hpp>
#include <model/protocol_model.hpp>
#include <model/protocol_operations.hpp>
#include <model/protocol_world.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

using namespace holdfast::test::model;

namespace {

/// Visits every world that can be reached, by the number of operations that
/// lead there.
struct Exploration {
  struct Node {
    World world;
    std::size_t parent = 0;
    Operation operation;
  };

  std::vector<Act> only; ///< Other operations do not happen; empty: all do.
  std::vector<Node> nodes;
  std::uint64_t steps = 0; ///< Operations carried out and checked.
  int depth = 0; ///< Every world within so many operations was visited.
  std::array<std::uint64_t, kViolations> violations{};
  std::array<std::string, kViolations> shortest;

  [[nodiscard]] std::string path_to(std::size_t node) const {
    std::string text;
    for (; node != 0; node = nodes[node].parent) {
      text = "; " + to_string(nodes[node].operation) + text;
    }
    return text;
  }
  [[nodiscard]] std::uint64_t found(Violation violation) const {
    return violations[static_cast<std::size_t>(violation)];
  }

  [[nodiscard]] bool happens(Act act) const {
    return only.empty() ||
        std::find(only.begin(), only.end(), act) != only.end();
  }

  void run(const Rules& rules, int depth_at_most) {
    // The nodes' own bytes are compared: equal hashes do not merge two worlds.
    const auto hash = [this](std::size_t node) {
      return static_cast<std::size_t>(hash_of(nodes[node].world));
    };
    const auto equal = [this](std::size_t a, std::size_t b) {
      return nodes[a].world == nodes[b].world;
    };
    std::unordered_set<std::size_t, decltype(hash), decltype(equal)> visited(
        1024, hash, equal);
    nodes.push_back(Node());
    visited.insert(0);
    std::size_t next = 0;
    for (depth = 0; depth < depth_at_most; ++depth) {
      const std::size_t end = nodes.size();
      for (; next < end; ++next) {
        const World before = nodes[next].world;
        for (const Operation& operation : operations(before)) {
          if (!happens(operation.act)) {
            continue;
          }
          ++steps;
          World after = before;
          const Outcome outcome = apply(after, operation, rules);
          const Violation violation =
              check(before, operation, outcome, after, rules);
          nodes.push_back(Node{after, next, operation});
          if (violation != Violation::none) {
            const auto index = static_cast<std::size_t>(violation);
            if (violations[index]++ == 0) {
              shortest[index] = path_to(nodes.size() - 1);
            }
            nodes.pop_back(); // What follows from it says nothing.
          } else if (!visited.insert(nodes.size() - 1).second) {
            nodes.pop_back();
          }
        }
      }
    }
  }

  [[nodiscard]] std::string report() const {
    std::string text = std::to_string(nodes.size()) + " worlds, " +
        std::to_string(steps) + " steps, depth " + std::to_string(depth);
    for (std::size_t i = 1; i < kViolations; ++i) {
      if (violations[i] != 0) {
        text += "\n  " + std::to_string(violations[i]) + " x " +
            to_string(static_cast<Violation>(i)) + ", first" + shortest[i];
      }
    }
    return text;
  }
};

void require_no_violation(const std::string& what, const Exploration& done) {
  std::printf("%s: %s\n", what.c_str(), done.report().c_str());
  CAPTURE(what, done.report());
  for (const std::uint64_t count : done.violations) {
    CHECK(count == 0);
  }
}

} // namespace

TEST_CASE("protocol model: no order of events breaks a promise", "[model]") {
  Exploration all;
  all.run(Rules(), 6);
  require_no_violation("everything that can happen", all);
  CHECK(all.depth == 6);
  CHECK(all.nodes.size() >= 100'000);
}

TEST_CASE("protocol model: going back and damage, deeper", "[model]") {
  Exploration lines;
  lines.only = {
      Act::save,
      Act::save_killed_staged,
      Act::save_killed_renamed,
      Act::leave,
      Act::resume,
      Act::start_fresh,
      Act::resume_from,
      Act::flip_part,
      Act::remove,
      Act::remove_all,
      Act::copy_back};
  lines.run(Rules(), 8);
  require_no_violation("going back and damage", lines);
  CHECK(lines.depth == 8);
  CHECK(lines.nodes.size() >= 100'000);
}

TEST_CASE("protocol model: two writers, deeper", "[model]") {
  Exploration writers;
  writers.only = {
      Act::save,
      Act::save_killed_staged,
      Act::save_unconfirmed,
      Act::leave,
      Act::stall,
      Act::wake,
      Act::kill_stalled,
      Act::resume,
      Act::start_fresh,
      Act::remove_lock,
      Act::remove_all,
      Act::copy_up};
  writers.run(Rules(), 8);
  require_no_violation("two writers", writers);
  CHECK(writers.depth == 8);
  CHECK(writers.nodes.size() >= 100'000);
}

TEST_CASE("protocol model: long histories keep the promises, too", "[model]") {
  const std::uint64_t seed = holdfast::test::seed();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::uint64_t checked = 0;
  for (int walk = 0; walk < 10'000; ++walk) {
    Rules rules;
    rules.keep_last = static_cast<std::uint8_t>(1 + random() % 2);
    rules.keep_best = random() % 2 == 0;
    World world;
    std::string path;
    for (int step = 0; step < 60; ++step) {
      const std::vector<Operation> possible = operations(world);
      if (possible.empty()) {
        break;
      }
      const Operation operation = possible[random() % possible.size()];
      path += "; " + to_string(operation);
      const World before = world;
      const Outcome outcome = apply(world, operation, rules);
      const Violation violation =
          check(before, operation, outcome, world, rules);
      if (violation != Violation::none) {
        CAPTURE(walk, path);
        FAIL(to_string(violation));
      }
      ++checked;
    }
  }
  CHECK(checked > 100'000);
}

TEST_CASE("protocol model: the naive rules break the promises", "[model]") {
  struct Naive {
    const char* name;
    bool Rules::*rule;
    Violation finds;
    int depth;
  };
  const Naive naive[] = {
      {"quarantine while searching",
       &Rules::quarantine_at_once,
       Violation::silent_fresh_start,
       5},
      {"quarantine whatever fails",
       &Rules::quarantine_at_once,
       Violation::intact_moved,
       5},
      {"going back without a line file",
       &Rules::no_line_file,
       Violation::abandoned_line_resumed,
       6},
      {"next = newest name + 1",
       &Rules::next_after_visible,
       Violation::number_reused,
       5},
      {"no fence", &Rules::no_fence, Violation::other_writer_harmed, 5},
      {"no names, so nothing was lost",
       &Rules::trust_empty,
       Violation::silent_fresh_start,
       5},
      {"retention by the keep rules alone",
       &Rules::unprotected,
       Violation::acknowledged_lost,
       5},
      {"a number that a foreign name has is ours",
       &Rules::number_may_be_taken,
       Violation::acknowledged_lost,
       6},
      {"the newest, whatever its line",
       &Rules::all_lines,
       Violation::abandoned_line_resumed,
       5},
  };
  for (const Naive& n : naive) {
    Rules rules;
    rules.*n.rule = true;
    Exploration exploration;
    exploration.run(rules, n.depth);
    std::printf("%s: %s\n", n.name, exploration.report().c_str());
    CAPTURE(n.name, exploration.report());
    CHECK(exploration.found(n.finds) > 0);
  }
}
