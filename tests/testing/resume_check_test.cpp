/// The check must find what is wrong with a loop, name it, and never be content
/// with having checked nothing. Every loop here is right but for one flaw.
#include <holdfast/testing/resume_check.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"
#include "support/toy_run.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace holdfast;
using namespace holdfast::test;
using holdfast::testing::Interruption;
using holdfast::testing::resume_equals_uninterrupted;
using holdfast::testing::ResumeCheckOptions;
using holdfast::testing::ResumeCheckResult;
using holdfast::testing::Run;
using Finding = ResumeCheckResult::Finding;

namespace {

int counter_outside = 0;

struct Loop;
using Hook = std::function<void(Loop&)>;

/// A loop of two epochs with four steps each. What the hooks do is its flaw.
struct Loop {
  static constexpr std::int64_t kEpochs = 2;
  static constexpr std::int64_t kSteps = 4; // in an epoch

  Hook when_built;
  Hook before_resume;
  Hook after_resume;
  Hook before_range;
  Hook at_step;
  Hook after_step;
  bool with_rate = true;
  bool with_engine = true;
  bool in_run = false; ///< Exceptions are to be saved for.
  std::int64_t goal = kEpochs;
  Options options = Options().keep_last(2).on_event({});

  ToyModel model;
  ToyLoader loader{kSteps};
  std::mt19937 engine{42};
  double rate = 0.01;
  Run* run = nullptr;
  Manager* manager = nullptr;
  std::vector<std::int64_t> batch;

  void operator()(Run& given) {
    run = &given;
    if (when_built) {
      when_built(*this);
    }
    Manager checkpoints(given.directory(), given.options(options));
    manager = &checkpoints;
    checkpoints.add("model", model);
    checkpoints.add("data", loader);
    if (with_engine) {
      checkpoints.add("engine-state", engine);
    }
    if (with_rate) {
      checkpoints.add("rate", rate);
    }
    if (before_resume) {
      before_resume(*this);
    }
    checkpoints.resume();
    if (after_resume) {
      after_resume(*this);
    }
    if (in_run) {
      checkpoints.run([&] { train(checkpoints); });
    } else {
      train(checkpoints);
    }
  }

  void train(Manager& checkpoints) {
    while (checkpoints.running(epochs(goal))) {
      if (before_range) {
        before_range(*this);
      }
      loader.begin();
      for (batch = loader.next(); !batch.empty(); batch = loader.next()) {
        const float noise = static_cast<float>(engine() % 1000) / 1000.0F;
        for (std::size_t i = 0; i < model.weight.size(); ++i) {
          model.moment[i] =
              0.9F * model.moment[i] + noise + static_cast<float>(batch[0]);
          model.weight[i] -= static_cast<float>(rate) * model.moment[i];
        }
        if (at_step) {
          at_step(*this);
        }
        checkpoints.step({{"loss", model.weight[0]}});
        if (after_step) {
          after_step(*this);
        }
      }
      if (checkpoints.epoch_done()) {
        rate *= 0.5;
        checkpoints.end_epoch({{"score", model.weight[1]}});
      }
    }
  }
};

/// New objects at each call.
testing::MakeRun run_of(const std::function<void(Loop&)>& flaw) {
  return [flaw](Run& run) {
    Loop loop;
    flaw(loop);
    loop(run);
  };
}

testing::MakeRun at_step(const Hook& hook) {
  return run_of([hook](Loop& loop) { loop.at_step = hook; });
}

ResumeCheckOptions killed_at(const std::vector<std::int64_t>& steps) {
  return ResumeCheckOptions().interrupt_at(steps).interrupt_by(
      {Interruption::kill});
}

bool contains(const std::string& text, const std::string& piece) {
  return text.find(piece) != std::string::npos;
}

} // namespace

TEST_CASE("resume check: a right loop is equal, in every way", "[testing]") {
  const auto right = run_of([](Loop&) {});
  const ResumeCheckResult forked = resume_equals_uninterrupted(right);
  INFO(forked);
  CHECK(forked.equal());
  CHECK(forked.finding == Finding::equal);
  CHECK(forked.safe_points == 10); // 8 steps, 2 ends of epochs
  // Six runs with one interruption each, one run with all of them, of which a
  // stop may skip one.
  CHECK(forked.interruptions >= 10);

  const ResumeCheckResult everywhere = resume_equals_uninterrupted(
      right,
      ResumeCheckOptions().interrupt_everywhere().interrupt_by(
          {Interruption::kill}));
  INFO(everywhere);
  CHECK(everywhere.finding == Finding::equal);
  CHECK(everywhere.interruptions == 9 + 9);

  const ResumeCheckResult redone = resume_equals_uninterrupted(
      right, ResumeCheckOptions().save_every(steps(3)));
  INFO(redone);
  CHECK(redone.finding == Finding::equal);

  const ResumeCheckResult here = resume_equals_uninterrupted(
      right, ResumeCheckOptions().in_this_process());
  INFO(here);
  CHECK(here.finding == Finding::equal);
  CHECK(here.interruptions == forked.interruptions);
}

TEST_CASE("resume check: a loop that saves when it throws", "[testing]") {
  for (const std::uint64_t memory : {0U, 1000U}) {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        run_of([memory](Loop& loop) {
          loop.in_run = true;
          loop.options.exception_overhead(1, memory);
        }),
        ResumeCheckOptions().save_every(steps(3)).interrupt_everywhere());
    INFO(result);
    CHECK(result.finding == Finding::equal);
  }
}

TEST_CASE("resume check: in a new process of this program", "[testing]") {
  const ResumeCheckResult result = resume_equals_uninterrupted(
      run_of([](Loop& loop) {
        loop.at_step = [](Loop&) {
          std::cout << "its own words" << std::endl;
        };
      }),
      killed_at({3}).in_new_processes());
  INFO(result);
  CHECK(result.finding == Finding::equal);
  CHECK(result.interruptions == 1);

  // A counter outside is new in each process, unlike the rest of this test.
  counter_outside = 5;
  const ResumeCheckResult second = resume_equals_uninterrupted(
      at_step([](Loop& loop) {
        loop.model.weight[3] += static_cast<float>(++counter_outside);
      }),
      killed_at({3}).in_new_processes());
  INFO(second);
  CHECK(second.finding == Finding::differs);
  CHECK(second.at.step == 4);
  counter_outside = 0;

  // With other arguments, which lead to one test case, not to any before it.
  const ResumeCheckResult other = resume_equals_uninterrupted(
      run_of([](Loop&) {}),
      killed_at({3}).in_new_processes(
          {"resume check: in a new process of this program"}));
  INFO(other);
  CHECK(other.finding == Finding::equal);

  const ResumeCheckResult never = resume_equals_uninterrupted(
      run_of([](Loop&) {}),
      killed_at({3}).in_new_processes({"no such test case"}));
  INFO(never);
  CHECK_FALSE(never.equal());
  CHECK(never.finding == Finding::crashed);
  CHECK(contains(never.to_string(), "before it came to the loop"));
}

TEST_CASE("resume check: state that is in no part is found", "[testing]") {
  SECTION("a learning rate") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        run_of([](Loop& loop) { loop.with_rate = false; }), killed_at({6}));
    INFO(result);
    CHECK(result.finding == Finding::differs);
    CHECK(result.run == "killed at step 6");
    CHECK(result.at.step == 7);
    CHECK_FALSE(result.right_after_resume);
    REQUIRE_FALSE(result.differences.empty());
    CHECK(result.differences[0].part == "model");
    CHECK(result.differences[0].what == "tensor 'weight'");
    CHECK(result.differences[0].element == 0);
    CHECK(result.differences[0].expected != result.differences[0].found);
    CHECK(contains(result.to_string(), "equal right after the resume"));
    CHECK(contains(result.to_string(), "no part holds"));
  }
  SECTION("a generator") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        run_of([](Loop& loop) { loop.with_engine = false; }), killed_at({2}));
    INFO(result);
    CHECK(result.finding == Finding::differs);
    CHECK(result.at.step == 3);
    REQUIRE_FALSE(result.differences.empty());
    CHECK(result.differences[0].what == "tensor 'weight'");
    CHECK(result.differences[1].what == "tensor 'moment'");
    CHECK(result.differences.back().what == "metric 'loss'");
  }
  SECTION("a counter outside, though not where it lives on") {
    const auto counting = at_step([](Loop& loop) {
      loop.model.weight[7] += static_cast<float>(++counter_outside);
    });
    counter_outside = 0;
    const ResumeCheckResult result =
        resume_equals_uninterrupted(counting, killed_at({5}));
    INFO(result);
    CHECK(result.finding == Finding::differs);
    CHECK(result.at.step == 6);
    REQUIRE(result.differences.size() == 1);
    CHECK(result.differences[0].part == "model");
    CHECK(result.differences[0].element == 7);
    CHECK(counter_outside == 0); // the loop never ran in this process
  }
}

TEST_CASE("resume check: loops that look right", "[testing]") {
  const auto check = [](const std::function<void(Loop&)>& flaw,
                        const std::string& cause) {
    const ResumeCheckResult result =
        resume_equals_uninterrupted(run_of(flaw), killed_at({2, 4}));
    INFO(result);
    CHECK(result.finding == Finding::differs);
    CHECK_FALSE(result.right_after_resume);
    CHECK(contains(result.to_string(), cause));
  };
  const auto check_equal = [](const std::function<void(Loop&)>& change) {
    const ResumeCheckResult result =
        resume_equals_uninterrupted(run_of(change), killed_at({2, 4}));
    INFO(result);
    CHECK(result.finding == Finding::equal);
  };
  const Hook lower_rate = [](Loop& loop) {
    loop.rate *= 0.5;
  };
  SECTION("code before the range, again in mid-epoch") {
    check([&](Loop& loop) { loop.before_range = lower_rate; }, "ran again");
  }
  SECTION("which the place in the epoch guards") {
    check_equal([](Loop& loop) {
      loop.before_range = [](Loop& built) {
        if (built.manager->progress().batch == 0) {
          built.rate *= 0.5;
        }
      };
    });
  }
  SECTION("code after step()") {
    check(
        [&](Loop& loop) { loop.after_step = lower_rate; },
        "after the last step()");
  }
  SECTION("a draw between resume() and the loop is taken back") {
    check_equal([](Loop& loop) {
      loop.after_resume = [](Loop& built) {
        built.engine();
      };
    });
  }
}

TEST_CASE("resume check: each part that differs has a line", "[testing]") {
  ResumeCheckResult result;
  result.finding = Finding::differs;
  for (int i = 0; i < 12; ++i) {
    const std::string what = "value '" + std::to_string(i) + "'";
    result.differences.push_back({"model", what, "1", "2", -1});
  }
  result.differences.push_back({"ema", "value 'a'", "1", "2", -1});
  result.differences.push_back({"ema", "value 'b'", "1", "2", -1});
  result.differences.push_back({"", "metric 'loss'", "1", "2", -1});
  const std::string text = result.to_string();
  CHECK(contains(text, "part 'model', value '7'"));
  CHECK_FALSE(contains(text, "part 'model', value '8'"));
  CHECK(contains(text, "part 'ema', value 'a'"));
  CHECK_FALSE(contains(text, "part 'ema', value 'b'"));
  CHECK(contains(text, "\n  metric 'loss'"));
  CHECK(contains(text, "\n  and 5 more"));
}

TEST_CASE("resume check: of many tensors the one is named", "[testing]") {
  const ResumeCheckResult result = resume_equals_uninterrupted(
      at_step([](Loop& loop) {
        loop.model.moment[15] = static_cast<float>(++counter_outside);
      }),
      killed_at({8}).interrupt_at({7}));
  INFO(result);
  CHECK(result.finding == Finding::differs);
  REQUIRE(result.differences.size() == 1);
  CHECK(
      result.differences[0].to_string() ==
      "part 'model', tensor 'moment', element 15: 0x3f800000 instead of "
      "0x41000000");
}

TEST_CASE("resume check: random state is named before weights", "[testing]") {
  const ResumeCheckResult result = resume_equals_uninterrupted(
      at_step([](Loop& loop) {
        if (++counter_outside == 1 && loop.manager->progress().step > 0) {
          loop.model.weight[0] += static_cast<float>(loop.engine());
        }
      }),
      killed_at({2}));
  INFO(result);
  CHECK(result.finding == Finding::differs);
  REQUIRE(result.differences.size() > 1);
  CHECK(result.differences[0].part == "engine-state");
  CHECK(result.differences[1].part == "model");
}

TEST_CASE("resume check: NaN equals itself by its bits", "[testing]") {
  const auto nan_at = [](float nan) {
    return at_step([nan](Loop& loop) {
      if (loop.manager->progress().step >= 1) {
        loop.model.weight[2] = nan;
      }
    });
  };
  const ResumeCheckResult result = resume_equals_uninterrupted(
      nan_at(std::numeric_limits<float>::quiet_NaN()), killed_at({4}));
  INFO(result);
  CHECK(result.finding == Finding::equal);

  // Another NaN is not equal, although both print alike.
  const ResumeCheckResult other = resume_equals_uninterrupted(
      at_step([](Loop& loop) {
        const std::uint32_t bits = 0x7fc00001U + (++counter_outside > 2);
        std::memcpy(&loop.model.weight[2], &bits, sizeof bits);
      }),
      killed_at({4}));
  INFO(other);
  CHECK(other.finding == Finding::differs);
  REQUIRE_FALSE(other.differences.empty());
  CHECK(other.differences[0].expected == "0x7fc00002");
  CHECK(other.differences[0].found == "0x7fc00001");
}

TEST_CASE("resume check: a loop that differs from itself", "[testing]") {
  SECTION("a generator without a seed") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        run_of([](Loop& loop) { loop.engine.seed(std::random_device()()); }));
    INFO(result);
    CHECK(result.finding == Finding::not_deterministic);
    CHECK(result.at.step == 0);
    REQUIRE_FALSE(result.differences.empty());
    CHECK(result.differences[0].part == "engine-state");
    CHECK(contains(result.to_string(), "before its first step"));
    CHECK(contains(result.to_string(), "seed"));
  }
  SECTION("the clock") {
    const ResumeCheckResult result =
        resume_equals_uninterrupted(at_step([](Loop& loop) {
          if (loop.manager->progress().step == 2) {
            loop.model.weight[0] += static_cast<float>(
                std::chrono::steady_clock::now().time_since_epoch().count() %
                1000003);
          }
        }));
    INFO(result);
    CHECK(result.finding == Finding::not_deterministic);
    CHECK(result.run == "second uninterrupted run");
    CHECK(result.at.step == 3);
    CHECK(contains(result.to_string(), "the clock"));
  }
  SECTION("how long it is") {
    const TemporaryDirectory directory;
    const std::string mark = directory.path("mark");
    const ResumeCheckResult result =
        resume_equals_uninterrupted(run_of([mark](Loop& loop) {
          loop.goal = std::filesystem::create_directory(mark) ? 2 : 1;
        }));
    INFO(result);
    CHECK(result.finding == Finding::not_deterministic);
    REQUIRE_FALSE(result.differences.empty());
    CHECK(contains(result.differences[0].found, "end of the run"));
  }
}

namespace {

/// A data source of the user's own that forgets its place: what it saves and
/// what it loads do not fit.
struct Forgetful {
  std::int64_t next = 0;
  [[nodiscard]] Values save_state() const {
    Values values;
    values["position"] = next;
    return values;
  }
  void load_state(const Values&) {
    next = 0;
  }
};

} // namespace

TEST_CASE("resume check: a data source that loses its place", "[testing]") {
  SECTION("in what it restores") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        [](Run& run) {
          Loop loop;
          Forgetful samples;
          loop.before_resume = [&](Loop& built) {
            built.manager->add("samples", samples);
          };
          loop.at_step = [&](Loop& built) {
            built.model.weight[0] += static_cast<float>(samples.next++);
          };
          loop(run);
        },
        killed_at({3}));
    INFO(result);
    CHECK(result.finding == Finding::differs);
    REQUIRE_FALSE(result.differences.empty());
    CHECK(result.at.step == 3);
    CHECK(result.right_after_resume);
    CHECK(
        result.differences[0].to_string() ==
        "part 'samples', value 'position': 0 instead of 3");
    CHECK(contains(result.to_string(), "save and load do not fit"));
    CHECK(contains(result.to_string(), "shares its memory"));
  }
  SECTION("in the samples it hands out, which the loop tells") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        at_step([](Loop& loop) {
          std::vector<std::int64_t> ids = loop.batch;
          ids[0] += counter_outside == 0 ? 100 : 0; // the first of a process
          ++counter_outside;
          loop.run->compare("samples", ids);
        }),
        killed_at({2}));
    INFO(result);
    CHECK(result.finding == Finding::differs);
    CHECK(result.at.step == 3);
    REQUIRE(result.differences.size() == 1);
    CHECK(
        result.differences[0].to_string() ==
        "'samples' given to compare(): [102] instead of [2]");
  }
}

TEST_CASE("resume check: a check that checked nothing fails", "[testing]") {
  SECTION("no manager") {
    const ResumeCheckResult result = resume_equals_uninterrupted([](Run&) {});
    INFO(result);
    CHECK_FALSE(result.equal());
    CHECK(result.finding == Finding::nothing_checked);
    CHECK(contains(result.to_string(), "run.options"));
  }
  SECTION("no step") {
    const ResumeCheckResult result =
        resume_equals_uninterrupted(run_of([](Loop& loop) { loop.goal = 0; }));
    INFO(result);
    CHECK(result.finding == Finding::nothing_checked);
  }
  SECTION("not enough steps to interrupt") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        [](Run& run) {
          Manager manager(run.directory(), run.options());
          manager.resume();
          manager.step();
        },
        ResumeCheckOptions());
    INFO(result);
    CHECK(result.finding == Finding::nothing_checked);
    CHECK(result.safe_points == 1);
  }
  SECTION("a run that saves elsewhere begins anew") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        [](Run& run) {
          const TemporaryDirectory other;
          Manager manager(
              other.path("own"), run.options(Options().on_event({})));
          std::int64_t number = 0;
          manager.add("number", number);
          manager.resume();
          while (manager.running(steps(4))) {
            ++number;
            manager.step();
          }
        },
        killed_at({2}));
    INFO(result);
    CHECK(result.finding == Finding::nothing_checked);
    CHECK(contains(result.to_string(), "began anew"));
  }
  SECTION("a step that is never reached") {
    const ResumeCheckResult result =
        resume_equals_uninterrupted(run_of([](Loop&) {}), killed_at({3, 9}));
    INFO(result);
    CHECK(result.finding == Finding::not_interrupted);
    CHECK(contains(result.to_string(), "step 9"));
    CHECK(contains(result.to_string(), "ends with step 8"));
  }
}

TEST_CASE("resume check: a loop that cannot be interrupted", "[testing]") {
  SECTION("because it swallows exceptions") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        [](Run& run) {
          Manager manager(run.directory(), run.options());
          std::int64_t number = 0;
          manager.add("number", number);
          manager.resume();
          while (manager.running(steps(4))) {
            ++number;
            try {
              manager.step();
            } catch (const std::exception&) {
            }
          }
        },
        ResumeCheckOptions().interrupt_by({Interruption::exception}));
    INFO(result);
    CHECK(result.finding == Finding::not_interrupted);
    CHECK(contains(result.to_string(), "swallowed"));
  }
  SECTION("because it never asks running()") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        [](Run& run) {
          Manager manager(run.directory(), run.options());
          std::int64_t number = 0;
          manager.add("number", number);
          manager.resume();
          while (manager.epoch() < 2) {
            ++number;
            manager.step();
            manager.end_epoch();
          }
        },
        ResumeCheckOptions().interrupt_by({Interruption::stop}));
    INFO(result);
    CHECK(result.finding == Finding::not_interrupted);
    CHECK(contains(result.to_string(), "request_stop"));
  }
}

TEST_CASE("resume check: what happened to a process is told", "[testing]") {
  SECTION("an exception") {
    const ResumeCheckResult result =
        resume_equals_uninterrupted(at_step([](Loop& loop) {
          std::cerr << "some words before" << std::endl;
          if (loop.manager->progress().step == 4) {
            throw std::domain_error("the loss is gone");
          }
        }));
    INFO(result);
    CHECK(result.finding == Finding::threw);
    CHECK(result.at.step == 4);
    CHECK(contains(result.to_string(), "the loss is gone"));
    CHECK(contains(result.output, "some words before"));
  }
  SECTION("an exit, only after a resume") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        at_step([](Loop& loop) {
          if (++counter_outside == 1 && loop.manager->progress().step > 0) {
            std::quick_exit(7);
          }
        }),
        killed_at({3}));
    INFO(result);
    CHECK(result.finding == Finding::crashed);
    CHECK(result.run == "killed at step 3");
    CHECK(contains(result.to_string(), "status 7"));
  }
  SECTION("a hang") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        at_step([](Loop& loop) {
          if (loop.manager->progress().step == 1) {
            std::this_thread::sleep_for(std::chrono::hours(1));
          }
        }),
        ResumeCheckOptions().time_limit(std::chrono::milliseconds(300)));
    INFO(result);
    CHECK(result.finding == Finding::hung);
    CHECK(result.at.step == 1);
  }
}

TEST_CASE("resume check: ends too early, or saves too much", "[testing]") {
  SECTION("a resumed run ends before its end") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        run_of([](Loop& loop) {
          loop.before_resume = [](Loop& built) {
            if (std::filesystem::exists(built.run->directory())) {
              built.goal = 1;
            }
          };
        }),
        killed_at({2}));
    INFO(result);
    CHECK(result.finding == Finding::differs);
    REQUIRE_FALSE(result.differences.empty());
    CHECK(contains(result.differences[0].found, "end of the run"));
    CHECK(result.at.step == 4);
  }
  SECTION("saving changes what is trained") {
    const ResumeCheckResult result = resume_equals_uninterrupted(
        run_of([](Loop& loop) {
          loop.options.on_event([&loop](const Event& event) {
            if (event.kind == Event::Kind::saved) {
              loop.model.weight[0] += 1;
            }
          });
        }),
        killed_at({2}));
    INFO(result);
    CHECK(result.finding == Finding::differs);
    CHECK(result.at.step == 1);
    CHECK(contains(result.to_string(), "saving more often"));
  }
}

TEST_CASE("resume check: run directories go, or stay on request", "[testing]") {
  const TemporaryDirectory scratch;
  const auto wrong = run_of([](Loop& loop) { loop.with_rate = false; });
  const auto options =
      killed_at({6}).scratch_directory(scratch.path("new/folder"));
  CHECK_FALSE(resume_equals_uninterrupted(wrong, options).equal());
  CHECK(std::filesystem::is_empty(scratch.path("new/folder")));

  auto keeping = options;
  keeping.keep_if_different();
  CHECK(resume_equals_uninterrupted(run_of([](Loop&) {}), keeping).equal());
  CHECK(std::filesystem::is_empty(scratch.path("new/folder")));
  const ResumeCheckResult kept = resume_equals_uninterrupted(wrong, keeping);
  CHECK(std::filesystem::is_directory(kept.directory + "/run-3"));
  CHECK(contains(kept.to_string(), kept.directory));
}

TEST_CASE("resume check: options that make no sense", "[testing]") {
  const auto right = run_of([](Loop&) {});
  const auto name_of = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      return error.name();
    }
    return std::string("no error");
  };
  const auto check = [&](const ResumeCheckOptions& options) {
    return name_of([&] { (void)resume_equals_uninterrupted(right, options); });
  };
  CHECK(check(ResumeCheckOptions().interrupt_at({0})) == "interrupt_at");
  CHECK(check(ResumeCheckOptions().interrupt_by({})) == "interrupt_by");
  CHECK(check(ResumeCheckOptions().save_every(steps(0))) == "save_every");
  CHECK(
      check(ResumeCheckOptions().time_limit(std::chrono::seconds(0))) ==
      "time_limit");
  CHECK(name_of([] { (void)resume_equals_uninterrupted({}); }) == "make_run");
  CHECK(name_of([] { Options().on_safe_point({}); }) == "on_safe_point");
}

TEST_CASE("resume check: no fork beside other threads", "[testing]") {
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const auto right = run_of([](Loop&) {});
  try {
    (void)resume_equals_uninterrupted(right);
    FAIL("was not refused");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(contains(error.what(), "in_new_processes"));
  } catch (...) {
    done = true;
    other.join();
    throw;
  }
  CHECK(resume_equals_uninterrupted(right, killed_at({3}).in_this_process())
            .equal());
  done = true;
  other.join();
}
