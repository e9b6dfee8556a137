#pragma once

/// The library's version: the one place, which CMake reads too. The version of
/// the on-disk format is a number of its own (`format/manifest.hpp`).
#define HOLDFAST_VERSION_MAJOR 0
#define HOLDFAST_VERSION_MINOR 1
#define HOLDFAST_VERSION_PATCH 0
#define HOLDFAST_VERSION_STRING "0.1.0"
