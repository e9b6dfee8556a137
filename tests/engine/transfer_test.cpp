#include "engine_support.hpp"

#include <holdfast/engine/heartbeat.hpp>

#include <cerrno>
#include <limits>
#include <stdexcept>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Fault;
using holdfast::testing::FaultFileSystem;
using Kind = TransferProgress::Kind;

namespace {

struct Heard {
  std::vector<TransferProgress> all;

  [[nodiscard]] TransferHandler handler() {
    return [this](const TransferProgress& progress) {
      all.push_back(progress);
    };
  }
};

/// A large model, and a disk for which each transfer of a piece takes 0.4 s.
struct SlowRun {
  static constexpr std::size_t kElements = std::size_t{1} << 20;

  Disk memory = new_disk();
  std::shared_ptr<FaultFileSystem> disk =
      std::make_shared<FaultFileSystem>(memory);
  ManualClock clock;
  ToyModel model;
  Heard heard;
  Events events;

  SlowRun() {
    model.weight.resize(kElements, 0.5F);
    model.moment.resize(kElements, 0.25F);
    be_slow();
  }
  void be_slow() {
    disk->set_hook([this](std::uint64_t, const std::string& what) {
      const bool moves = what.find("write ") == 0 || what.find("read ") == 0;
      if (moves && what.find("safetensors") != std::string::npos) {
        clock.pass(0.4);
      }
    });
  }
  [[nodiscard]] Options options() {
    return quiet_options(disk)
        .clock(clock)
        .on_event(events.handler())
        .on_transfer(heard.handler());
  }
};

/// A transfer as its listener sees it: from little to all.
void check_transfer(
    const std::vector<TransferProgress>& all,
    Kind kind,
    const std::string& checkpoint) {
  REQUIRE(all.size() > 3);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    CHECK(all[i].kind == kind);
    CHECK(all[i].checkpoint == checkpoint);
    CHECK(all[i].bytes <= all[i].total_bytes);
    CHECK(all[i].over == (i + 1 == all.size()));
    if (i > 0) {
      CHECK(all[i].bytes >= all[i - 1].bytes);
      CHECK(all[i].total_bytes == all[i - 1].total_bytes);
      CHECK((all[i].seconds >= all[i - 1].seconds + 1 || all[i].over));
    }
  }
  CHECK(all.front().seconds >= 1);
  CHECK(all.front().bytes < all.front().total_bytes);
  CHECK(all.back().bytes == all.back().total_bytes);
  CHECK(all.back().total_bytes >= 8 * SlowRun::kElements);
}

} // namespace

TEST_CASE("transfer: short ones go without a word", "[engine][transfer]") {
  Heard heard;
  const TransferListener listener{heard.handler(), 2};
  ManualClock clock;
  {
    TransferMeter meter(listener, clock, Kind::saving, "short");
    meter.expect(100);
    meter.add(50);
    clock.pass(1.9);
    meter.add(50);
  }
  CHECK(heard.all.empty());
  {
    TransferMeter meter(listener, clock, Kind::loading, "long");
    meter.expect(100);
    clock.pass(2);
    meter.add(10);
    meter.add(10); // at once
    clock.pass(1);
    meter.add(10);
    clock.pass(1);
    meter.add(10);
    clock.pass(0.5);
    meter.add(60);
  }
  REQUIRE(heard.all.size() == 3);
  CHECK(heard.all[0].bytes == 10);
  CHECK(heard.all[0].seconds == 2);
  CHECK_FALSE(heard.all[0].over);
  CHECK(heard.all[1].bytes == 40);
  CHECK(heard.all[1].seconds == 4);
  CHECK(heard.all[2].bytes == 100);
  CHECK(heard.all[2].seconds == 4.5);
  CHECK(heard.all[2].over);
}

TEST_CASE("transfer: what a listener throws is nothing", "[engine][transfer]") {
  ManualClock clock;
  int calls = 0;
  const TransferListener listener{
      [&](const TransferProgress&) {
        ++calls;
        throw std::runtime_error("the pipe is closed");
      },
      1};
  {
    TransferMeter meter(listener, clock, Kind::saving, "a");
    clock.pass(1);
    meter.add(1);
  }
  CHECK(calls == 2);
  const TransferListener nobody{{}, 1};
  TransferMeter meter(nobody, clock, Kind::saving, "a");
  clock.pass(5);
  meter.add(1);
}

TEST_CASE(
    "transfer: the pulse is felt with each piece, whoever listens",
    "[engine][transfer]") {
  ManualClock clock;
  int pulses = 0;
  const TransferListener nobody{{}, 1};
  {
    TransferMeter meter(nobody, clock, Kind::saving, "a", [&] { ++pulses; });
    meter.add(1);
    meter.add(1);
  }
  CHECK(pulses == 2);
  Heard heard;
  const TransferListener listener{heard.handler(), 1};
  TransferMeter meter(listener, clock, Kind::saving, "a", [] {
    throw std::runtime_error("who only looks must not end a save");
  });
  clock.pass(1);
  meter.add(1);
}

TEST_CASE("transfer: for people in one line", "[engine][transfer]") {
  TransferProgress progress;
  progress.kind = Kind::loading;
  progress.checkpoint = "ckpt-000024-step-12000";
  progress.bytes = 3'100'000'000;
  progress.total_bytes = 7'400'000'000;
  CHECK(
      to_string(progress) ==
      "loading ckpt-000024-step-12000 [########------------]  41 %, 3.1 GB of "
      "7.4 GB");
  progress.kind = Kind::saving;
  progress.bytes = progress.total_bytes;
  CHECK(
      to_string(progress) ==
      "saving ckpt-000024-step-12000 [####################] 100 %, 7.4 GB of "
      "7.4 GB");
  // The last byte is what makes it full.
  --progress.bytes;
  CHECK(to_string(progress).find("#-]  99 %") != std::string::npos);
  progress.bytes = 0;
  CHECK(
      to_string(progress).find("[--------------------]   0 %, 0 bytes of") !=
      std::string::npos);
  // Nothing is all of nothing; more than all is all.
  progress.total_bytes = 0;
  CHECK(to_string(progress).find("100 %") != std::string::npos);
  progress.bytes = std::numeric_limits<std::uint64_t>::max();
  progress.total_bytes = 1000;
  progress.checkpoint = std::string(300, 'x');
  CHECK(to_string(progress).size() == 79);
  CHECK(to_string(progress).find("100 %") != std::string::npos);
}

TEST_CASE("transfer: an interval that makes no sense", "[engine][transfer]") {
  const double inf = std::numeric_limits<double>::infinity();
  for (const double bad : {0.0, -1.0, inf, std::nan("")}) {
    const std::chrono::duration<double> interval(bad);
    CHECK_THROWS_AS(Options().on_transfer({}, interval), Error);
    CHECK_THROWS_AS(LoadOptions().on_transfer({}, interval), Error);
  }
}

TEST_CASE("transfer: a manager tells of saves and resumes", "[engine]") {
  SlowRun slow;
  const std::string name = checkpoint_name(1, 1);
  {
    Manager manager(kRoot, slow.options());
    manager.add("model", slow.model);
    manager.resume();
    CHECK(slow.heard.all.empty());
    SECTION("by default") {
      manager.step();
    }
    SECTION("a heartbeat each time, or a monitor thinks it hangs") {
      double last = 0;
      std::size_t beats = 0;
      slow.disk->set_hook([&](std::uint64_t, const std::string& what) {
        if (what.find("write ") == 0) {
          slow.clock.pass(2);
        }
        if (what.find("HEARTBEAT") != std::string::npos &&
            what.find("write_lock") == 0) {
          ++beats;
          CHECK(slow.clock.monotonic - last <= 8);
        }
        if (what.find("HEARTBEAT") != std::string::npos) {
          last = slow.clock.monotonic;
        }
      });
      last = slow.clock.monotonic;
      manager.step();
      CHECK(beats > 3);
      slow.be_slow();
    }
    check_transfer(slow.heard.all, Kind::saving, name);
  }
  slow.heard.all.clear();
  slow.model.weight.assign(SlowRun::kElements, 0);
  {
    Manager manager(kRoot, slow.options());
    manager.add("model", slow.model);
    manager.resume();
    check_transfer(slow.heard.all, Kind::loading, name);
    CHECK(slow.model.weight.front() == 0.5F);
  }
  slow.heard.all.clear();
  PartSet parts;
  parts.add("model", make_part(slow.model));
  load(
      kRoot,
      LoadOptions().on_transfer(slow.heard.handler()),
      parts,
      *slow.disk,
      slow.clock);
  check_transfer(slow.heard.all, Kind::loading, name);
  slow.heard.all.clear();
  load(
      checkpoint_path(1, 1),
      LoadOptions().salvage(true).on_transfer(slow.heard.handler()),
      parts,
      *slow.disk,
      slow.clock);
  check_transfer(slow.heard.all, Kind::loading, name);
}

TEST_CASE("transfer: the heartbeat keeps its own time", "[engine]") {
  SlowRun slow;
  int beats = 0;
  Manager manager(
      kRoot,
      slow.options()
          .on_transfer(slow.heard.handler(), std::chrono::hours(1))
          .heartbeat(std::chrono::seconds(2)));
  manager.add("model", slow.model);
  manager.resume();
  slow.disk->set_hook([&](std::uint64_t, const std::string& what) {
    if (what.find("write ") == 0) {
      slow.clock.pass(1);
    }
    if (what.find("write_lock") == 0 &&
        what.find("HEARTBEAT") != std::string::npos) {
      ++beats;
    }
  });
  manager.step();
  CHECK(beats > 5);
  CHECK(slow.heard.all.empty());
}

TEST_CASE("transfer: a save that fails is over, too", "[engine][fault]") {
  SlowRun slow;
  Manager manager(kRoot, slow.options());
  manager.add("model", slow.model);
  manager.resume();
  slow.disk->plan(Fault::error(EIO)
                      .on(testing::Operations{testing::Operation::write})
                      .named("safetensors")
                      .at(10));
  manager.step();
  REQUIRE(slow.heard.all.size() > 1);
  CHECK(slow.heard.all.back().over);
  CHECK(slow.heard.all.back().bytes < slow.heard.all.back().total_bytes);
  CHECK(slow.events.count(Event::Kind::save_staged) == 0);
  CHECK(slow.events.count(Event::Kind::save_failed) == 1);
}

TEST_CASE("transfer: staged comes between started and saved", "[engine]") {
  SlowRun slow;
  Manager manager(kRoot, slow.options());
  manager.add("model", slow.model);
  manager.resume();
  slow.events.all.clear();
  manager.step();
  REQUIRE(slow.events.all.size() == 3);
  CHECK(slow.events.all[0].kind == Event::Kind::save_started);
  CHECK(slow.events.all[1].kind == Event::Kind::save_staged);
  CHECK(slow.events.all[1].checkpoint == checkpoint_name(1, 1));
  CHECK(slow.events.all[2].kind == Event::Kind::saved);
  CHECK(slow.events.all[2].checkpoint == slow.events.all[1].checkpoint);
}
