#pragma once

#include <holdfast/base/config.hpp>
#if defined(HOLDFAST_IMPLEMENTATION) && !HOLDFAST_BODIES
#error \
    "holdfast: HOLDFAST_IMPLEMENTATION comes before the first Holdfast header"
#endif

/// Everything that needs no LibTorch: any C++ trainer can checkpoint its own
/// objects with a `holdfast::Manager`.
#include <holdfast/base/error.hpp>
#include <holdfast/base/metrics.hpp>
#include <holdfast/base/progress.hpp>
#include <holdfast/base/units.hpp>
#include <holdfast/base/version.hpp>
#include <holdfast/engine/load.hpp>
#include <holdfast/engine/load_options.hpp>
#include <holdfast/engine/load_report.hpp>
#include <holdfast/engine/manager.hpp>
#include <holdfast/engine/options.hpp>
#include <holdfast/engine/report.hpp>
#include <holdfast/engine/retention_plan.hpp>
#include <holdfast/engine/save_handle.hpp>
#include <holdfast/state/adapter.hpp>
#include <holdfast/state/builtin.hpp>
#include <holdfast/state/data_loader.hpp>
#include <holdfast/state/extra_state.hpp>
#include <holdfast/store/read_lease.hpp>
