#include "engine_support.hpp"
#include "state/fake_tensor.hpp"

#include <holdfast/engine/probe.hpp>

#include <cmath>
#include <limits>
#include <stdexcept>

using namespace holdfast;
using namespace holdfast::test;
using Outcome = ProbeResult::Outcome;

namespace {

struct Outputs {
  template <class V>
  void state(V& v) {
    v("scores", scores);
    v("hidden", hidden);
    v("label", label);
  }
  FakeTensor scores;
  FakeTensor hidden;
  int label = 0;
};

template <class T>
Value record(T output) {
  return record_probe(*make_part(output));
}

template <class T>
ProbeResult compared(T was, T is, double tolerance = 1e-3) {
  return compare_probes(
      record(std::move(was)), record(std::move(is)), tolerance);
}

ToyModel model_of(float weight) {
  ToyModel model;
  model.weight.assign(200, weight);
  model.moment.assign(3, 1.0F);
  return model;
}

/// A run whose probe is `probe(run)`.
template <class Probe>
ResumeReport resume_with(ToyRun& run, Probe probe, double tolerance = 1e-3) {
  run.manager.probe([&run, probe] { return probe(run); }, tolerance);
  return run.manager.resume();
}

} // namespace

TEST_CASE("probe: the same output is equal", "[probe]") {
  const ProbeResult result = compared(model_of(0.5F), model_of(0.5F));
  CHECK(result.outcome == Outcome::equal);
  CHECK(result.difference == 0);
  CHECK(result.text == "gives the same output as at the save, to the bit");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(compared(nan, nan).outcome == Outcome::equal);
}

TEST_CASE("probe: close and different, and by how much", "[probe]") {
  const ProbeResult close = compared(model_of(0.5F), model_of(0.50001F));
  CHECK(close.outcome == Outcome::close);
  CHECK(close.difference == Approx(1e-5).epsilon(0.05));
  CHECK(
      close.text ==
      "gives another output than at the save: of 67 numbers the largest "
      "difference is 1.001e-05 of the largest number");
  CHECK(
      compared(model_of(0.5F), model_of(0.50001F), 1e-6).outcome ==
      Outcome::different);
  CHECK(compared(model_of(0.5F), model_of(0.9F)).outcome == Outcome::different);
  CHECK(compared(0.0, -0.0).outcome == Outcome::different);
  CHECK(
      compared(std::vector<double>{1, 2}, {1, 2 + 1e-9}).outcome ==
      Outcome::close);
}

TEST_CASE("probe: what is not finite is never close", "[probe]") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(compared(1.0, infinity, 1e9).outcome == Outcome::different);
  CHECK(
      compared(std::numeric_limits<double>::quiet_NaN(), 1.0, 1e9).outcome ==
      Outcome::different);
  CHECK(
      compared(std::vector<double>{infinity, 1}, {infinity, 1 + 1e-9})
          .outcome == Outcome::close);
}

TEST_CASE("probe: other shapes and kinds are told", "[probe]") {
  ToyModel other = model_of(0.5F);
  other.moment.push_back(1.0F);
  const ProbeResult result = compared(model_of(0.5F), other);
  CHECK(result.outcome == Outcome::different);
  CHECK_THAT(result.text, contains("moment F32 [3]"));
  CHECK_THAT(result.text, contains("moment F32 [4]"));
  CHECK_THAT(
      compared(std::vector<double>(3), std::vector<double>(4)).text,
      contains("gives other names, shapes or kinds"));
  CHECK_THAT(
      compared(std::string("a"), std::string("b")).text,
      contains("although the 0 numbers compared agree"));
  CHECK(
      compared(std::string("a"), std::string("b")).outcome ==
      Outcome::different);
}

TEST_CASE("probe: a change between the numbers compared is found", "[probe]") {
  ToyModel other = model_of(0.5F);
  other.weight[1] = 0.7F; // every third is compared
  const ProbeResult result = compared(model_of(0.5F), other);
  CHECK(result.outcome == Outcome::different);
  CHECK_THAT(result.text, contains("although the 67 numbers compared agree"));
}

TEST_CASE("probe: integers are numbers, however large", "[probe]") {
  CHECK(compared(1, 2).outcome == Outcome::different);
  CHECK(compared(1, 2, 0.5).outcome == Outcome::close);
  const std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
  CHECK(compared(largest, largest - 5000).outcome == Outcome::close);
}

TEST_CASE("probe: where a tensor lies does not count", "[probe]") {
  FakeTensor here{1, 2};
  FakeTensor there = here;
  there.device = "cuda:0";
  CHECK(compared(here, there).outcome == Outcome::equal);
  CHECK(
      compared(Outputs{here, here, 3}, {there, here, 3}).outcome ==
      Outcome::equal);
  CHECK(
      compared(Outputs{here, here, 3}, {here, here, 4}).outcome ==
      Outcome::different);
  there.numbers[1] += 1e-6F;
  CHECK(
      compared(Outputs{here, here, 3}, {there, here, 3}).outcome ==
      Outcome::close);
}

TEST_CASE("probe: of a long sequence, too, some numbers are kept", "[probe]") {
  std::vector<double> doubles(6400, 0.5);
  std::vector<std::int64_t> integers(6400, 7);
  for (const Value& value : {record(doubles), record(integers)}) {
    CHECK(at(value.object(), "numbers").array().size() == 64);
    CHECK(at(value.object(), "layout").text().size() < 1000);
  }
  std::vector<double> changed = doubles;
  changed[1] = 0.7; // every hundredth is compared
  CHECK_THAT(
      compared(doubles, changed).text,
      contains("although the 64 numbers compared agree"));
}

TEST_CASE("manager: the report tells what the probe gave", "[probe]") {
  const Disk disk = new_disk();
  const auto weight = [](ToyRun& run) {
    return run.model.weight;
  };
  {
    ToyRun run(kRoot, keep_everything(disk));
    const ResumeReport report = resume_with(run, weight);
    CHECK_FALSE(report.probe);
    train_steps(run, 3);
  }
  std::vector<std::string> warnings;
  const auto options = [&] {
    return keep_everything(disk).on_event([&](const Event& event) {
      if (event.kind == Event::Kind::warning) {
        warnings.push_back(event.text);
      }
    });
  };
  {
    ToyRun run(kRoot, options());
    const ResumeReport report = resume_with(run, weight);
    REQUIRE(report.probe);
    CHECK(report.probe->outcome == Outcome::equal);
    CHECK(report.exact());
    CHECK_THAT(
        report.to_string(),
        contains("\n  probe: equal: it gives the same output as at the save, "
                 "to the bit"));
    CHECK(warnings.empty());
  }
  {
    // What the probe sees depends on something that is no part.
    ToyRun run(kRoot, options());
    const ResumeReport report = resume_with(run, [](ToyRun& live) {
      auto values = live.model.weight;
      values[0] += 1;
      return values;
    });
    REQUIRE(report.probe);
    CHECK(report.probe->outcome == Outcome::different);
    CHECK_FALSE(report.exact());
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings.front(), contains("the probe gives another output"));
  }
  {
    ToyRun run(kRoot, options());
    const ResumeReport report = resume_with(
        run,
        [](ToyRun& live) {
          auto values = live.model.weight;
          values[0] *= 1.00001F;
          return values;
        },
        0.01);
    REQUIRE(report.probe);
    CHECK(report.probe->outcome == Outcome::close);
    CHECK_FALSE(report.exact());
    CHECK(warnings.size() == 1);
  }
}

TEST_CASE("manager: a probe draws and disturbs nothing", "[probe]") {
  const auto trained = [](bool probed, bool resumed) {
    const Disk disk = new_disk();
    std::string probes;
    for (const bool last : {false, true}) {
      if (!last && !resumed) {
        continue;
      }
      ToyRun run(kRoot, keep_everything(disk));
      if (probed) {
        run.manager.probe(
            [&run] { return static_cast<double>(run.engine()) + run.loss(); });
      }
      const ResumeReport report = run.manager.resume();
      if (report.probe) {
        // Drawn from the same random state at the save and here.
        CHECK(report.probe->outcome == Outcome::equal);
      }
      if (!last) {
        try {
          run.train(2, 7);
        } catch (const ToyRun::Killed&) {
        }
        continue;
      }
      run.train(2);
      return run.fingerprint();
    }
    return std::string();
  };
  const std::string expected = trained(false, false);
  CHECK(trained(true, false) == expected);
  CHECK(trained(true, true) == expected);
}

TEST_CASE("manager: no save is lost to a probe that throws", "[probe]") {
  const Disk disk = new_disk();
  std::vector<std::string> warnings;
  bool fails = true;
  const auto probe = [&fails](ToyRun& run) {
    if (fails) {
      throw std::runtime_error("no batch");
    }
    return run.loss();
  };
  {
    ToyRun run(kRoot, keep_everything(disk).on_event([&](const Event& event) {
      if (event.kind == Event::Kind::warning) {
        warnings.push_back(event.text);
      }
    }));
    CHECK_THROWS_AS(resume_with(run, probe), std::runtime_error);
    fails = false;
    run.manager.resume();
    train_steps(run, 2);
    CHECK(warnings.empty());
    fails = true;
    train_steps(run, 1);
    CHECK(
        warnings ==
        std::vector<std::string>{
            "the probe failed, so this save is without one: no batch"});
    CHECK(run.manager.list().size() == 3);
    fails = false;
  }
  {
    ToyRun run(kRoot, keep_everything(disk));
    const ResumeReport report = resume_with(run, probe);
    CHECK_FALSE(report.probe);
    CHECK_THAT(report.to_string(), contains("it was saved without a probe"));
    run.manager.save().wait();
  }
  ToyRun run(kRoot, keep_everything(disk));
  int calls = 0;
  const ResumeReport report = resume_with(run, [&calls](ToyRun& live) {
    if (++calls == 2) {
      throw std::runtime_error("no batch");
    }
    return live.loss();
  });
  REQUIRE(report.probe);
  CHECK(report.probe->outcome == Outcome::different);
  CHECK(report.probe->text == "failed: no batch");
}

TEST_CASE("manager: probes new and gone", "[probe]") {
  const Disk disk = new_disk();
  const auto loss = [](ToyRun& run) {
    return run.loss();
  };
  {
    ToyRun run(kRoot, keep_everything(disk));
    run.manager.resume();
    train_steps(run, 1);
  }
  {
    ToyRun run(kRoot, keep_everything(disk));
    const ResumeReport report = resume_with(run, loss);
    CHECK_FALSE(report.probe);
    CHECK_THAT(report.to_string(), contains("it was saved without a probe"));
    train_steps(run, 1);
  }
  {
    ToyRun run(kRoot, keep_everything(disk));
    CHECK_FALSE(run.manager.resume().probe);
  }
  ToyRun run(kRoot, keep_everything(disk));
  run.manager.probe([] { return 1.0; });
  CHECK(code_of([&] {
          run.manager.probe([] { return 1.0; });
        }) == "invalid_argument");
  ToyRun other(kRoot, keep_everything(disk));
  CHECK(code_of([&] {
          other.manager.probe([] { return 1.0; }, -1);
        }) == "invalid_argument");
  run.manager.resume();
  CHECK(code_of([&] {
          run.manager.probe([] { return 1.0; });
        }) == "already_resumed");
}
