#include "engine_support.hpp"

#include <holdfast/engine/options.hpp>

using namespace holdfast;

// What is refused is in refusal_test.cpp.

TEST_CASE("options: defaults", "[options]") {
  const Settings settings = Options().resolve();
  REQUIRE(settings.triggers.size() == 2);
  CHECK(to_string(settings.triggers[0]) == "every epoch");
  CHECK(to_string(settings.triggers[1]) == "every 30 min");
  CHECK(settings.retention.last == std::size_t{3});
  CHECK(settings.retention.best.empty());
  CHECK_FALSE(settings.compression.zstd_level);
  CHECK(settings.lock_wait_seconds == 10);
  CHECK(settings.max_save_failures == 3);
  CHECK(settings.tags.empty());
  CHECK(settings.on_event);
  CHECK(settings.file_system);
  CHECK(settings.clock == &system_clock());
}

TEST_CASE("options: everything that was set, in chains", "[options]") {
  test::ManualClock clock;
  const auto disk = test::new_disk();
  const Settings settings =
      Options()
          .save_every(steps(500))
          .save_every(epochs(2))
          .save_every(std::chrono::minutes(10))
          .keep_last(5)
          .keep_best("val_loss")
          .keep_best("accuracy", Best::highest, 2)
          .keep_one_per(std::chrono::hours(1))
          .keep_younger_than(std::chrono::hours(24), 4)
          .compression(zstd(7))
          .lock_wait(std::chrono::milliseconds(1500))
          .max_save_failures(0)
          .save_overhead(0.05, std::chrono::seconds(90))
          .save_when("a phase ends", [](const TriggerPoint&) { return false; })
          .keep_every(steps(10'000))
          .keep_every(epochs(3))
          .keep_at_most(1'000'000)
          .tag("data", "v1")
          .tag("config", "a b")
          .on_event({})
          .file_system(disk)
          .clock(clock)
          .resolve();
  REQUIRE(settings.triggers.size() == 3);
  CHECK(to_string(settings.triggers[0]) == "every 500 steps");
  CHECK(to_string(settings.triggers[1]) == "every 2 epochs");
  CHECK(to_string(settings.triggers[2]) == "every 10 min");
  REQUIRE(settings.overhead);
  CHECK(settings.overhead->share == 0.05);
  CHECK(settings.overhead->least_seconds == 90);
  REQUIRE(settings.save_when.size() == 1);
  CHECK(settings.save_when[0].reason == "a phase ends");
  CHECK(settings.retention.last == std::size_t{5});
  REQUIRE(settings.retention.every.size() == 2);
  CHECK(settings.retention.every[0].unit == KeepEvery::Unit::steps);
  CHECK(settings.retention.every[0].interval == 10'000);
  CHECK(settings.retention.every[1].unit == KeepEvery::Unit::epochs);
  CHECK(settings.retention.every[1].interval == 3);
  CHECK(settings.retention.total_bytes == std::uint64_t{1'000'000});
  REQUIRE(settings.retention.best.size() == 2);
  CHECK(settings.retention.best[0].metric == "val_loss");
  CHECK(settings.retention.best[0].best == Best::lowest);
  CHECK(settings.retention.best[0].count == 1);
  CHECK(settings.retention.best[1].best == Best::highest);
  CHECK(settings.retention.best[1].count == 2);
  REQUIRE(settings.retention.per.size() == 1);
  CHECK(settings.retention.per[0].bucket == std::chrono::hours(1));
  REQUIRE(settings.retention.younger);
  CHECK(settings.retention.younger->age == std::chrono::hours(24));
  CHECK(settings.retention.younger->floor == 4);
  CHECK(settings.compression.zstd_level == 7);
  CHECK(settings.lock_wait_seconds == 1.5);
  CHECK(settings.max_save_failures == 0);
  CHECK(
      settings.tags ==
      std::vector<std::pair<std::string, std::string>>{
          {"data", "v1"}, {"config", "a b"}});
  CHECK_FALSE(settings.on_event);
  CHECK(settings.file_system == disk);
  CHECK(settings.clock == &clock);
}

TEST_CASE(
    "options: another rule replaces the default, all keeps all",
    "[options]") {
  CHECK_FALSE(Options().keep_best("loss").resolve().retention.last);
  CHECK_FALSE(Options().keep_all().resolve().retention.last);
  CHECK_FALSE(Options().keep_at_most(1000).resolve().retention.last);
  CHECK_FALSE(Options().keep_every(steps(5)).resolve().retention.last);
  CHECK(Options().save_overhead(0.1).resolve().triggers.empty());
  const auto never = [](const TriggerPoint&) {
    return false;
  };
  CHECK(Options().save_when("x", never).resolve().triggers.empty());
  CHECK_FALSE(
      Options().compression(uncompressed()).resolve().compression.zstd_level);
}
