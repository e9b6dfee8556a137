# What the layers' CMakeLists.txt call.

find_package(Catch2 REQUIRED)
include(Catch)

option(HOLDFAST_TORCH_PCH
  "Torch tests share a precompiled torch/torch.h (0.7 GB in the build folder)" ON)

# At -O0 the exhaustive tests spend most of their time in the library, and
# optimising it lightly costs the compiler next to nothing more.
option(HOLDFAST_TEST_OPTIMIZED
  "Where the flags say -O0, the library under test and the longest tests are compiled with -O1" ON)
set(holdfast_test_optimization)
if(HOLDFAST_TEST_OPTIMIZED AND CMAKE_CXX_FLAGS MATCHES "(^| )-O0( |$)")
  set(holdfast_test_optimization -O1)
  target_compile_options(holdfast_core_compiled PRIVATE ${holdfast_test_optimization})
endif()

# Tests that need a Python with numpy and safetensors find it in the
# environment variable HOLDFAST_PYTHON.
if(NOT DEFINED HOLDFAST_PYTHON)
  if(DEFINED ENV{HOLDFAST_PYTHON})
    set(HOLDFAST_PYTHON $ENV{HOLDFAST_PYTHON} CACHE FILEPATH
      "Python with numpy and safetensors, for tests that compare with them")
  else()
    find_program(HOLDFAST_PYTHON python3)
  endif()
endif()
set(holdfast_test_environment ENVIRONMENT "HOLDFAST_PYTHON=${HOLDFAST_PYTHON}")
# Catch2 v2 calls it a success when no test matches, or when one asserts nothing.
set(holdfast_no_match
  FAIL_REGULAR_EXPRESSION "No test cases matched|assertions: - none -")

add_custom_target(holdfast_core_tests)
add_custom_target(holdfast_torch_tests)

option(HOLDFAST_TEST_UNITY
  "Files of a test program are compiled several at a time: for builds from nothing" OFF)

option(HOLDFAST_PACKAGING_TESTS
  "Tests of layers, headers, install and consumers" ON)

# Torch tests see torch/torch.h first and Catch2 after it, whatever their own
# order: both define CHECK, and with LibTorch's a test asserts nothing.
#
# As a precompiled header: only LibTorch and Catch2 are in it, so it is never
# built again when Holdfast changes.
function(holdfast_include_torch_first target)
  set(catch catch2/catch.hpp)
  if(Catch2_VERSION VERSION_GREATER_EQUAL 3)
    set(catch catch2/catch_all.hpp)
  endif()
  if(NOT HOLDFAST_TORCH_PCH)
    target_compile_options(${target} PRIVATE
      "SHELL:-include torch/torch.h" "SHELL:-include ${catch}")
    return()
  endif()
  if(NOT TARGET holdfast_torch_pch)
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/tests/torch_pch.cpp CONTENT "\n" @ONLY)
    add_library(holdfast_torch_pch OBJECT EXCLUDE_FROM_ALL
      ${PROJECT_BINARY_DIR}/tests/torch_pch.cpp)
    target_link_libraries(holdfast_torch_pch PRIVATE
      holdfast::compiled holdfast_warnings Catch2::Catch2WithMain)
    target_precompile_headers(holdfast_torch_pch PRIVATE <torch/torch.h> <${catch}>)
  endif()
  target_precompile_headers(${target} REUSE_FROM holdfast_torch_pch)
endfunction()

function(_holdfast_compile_together target batch)
  set_target_properties(${target} PROPERTIES
    UNITY_BUILD ${HOLDFAST_TEST_UNITY} UNITY_BUILD_BATCH_SIZE ${batch})
endfunction()

# A torch-free test program. Every TEST_CASE is a CTest test of its own, called
# "<unit>: <behaviour>".
#
#     holdfast_add_core_tests(io_tests SOURCES a_test.cpp b_test.cpp)
function(holdfast_add_core_tests target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES")
  add_executable(${target} ${arg_SOURCES})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE
    holdfast::core_compiled holdfast_warnings holdfast_sanitizers
    Catch2::Catch2WithMain)
  _holdfast_compile_together(${target} 12)
  add_dependencies(holdfast_core_tests ${target})
  catch_discover_tests(${target} PROPERTIES
    LABELS core TIMEOUT 600 ${holdfast_test_environment} ${holdfast_no_match})
endfunction()

# A test program that links LibTorch: loading it takes most of a second, so the
# program is one CTest test. TEST_CASEs with the tag [cuda] are a second one,
# which is skipped, visibly, where there is no GPU or LibTorch has no CUDA.
# Without LibTorch the call does nothing.
#
#     holdfast_add_torch_tests(module_tests SOURCES module_test.cpp)
function(holdfast_add_torch_tests target)
  if(NOT HOLDFAST_WITH_LIBTORCH)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES")
  add_executable(${target} ${arg_SOURCES})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE
    holdfast::compiled holdfast_warnings Catch2::Catch2WithMain)
  holdfast_include_torch_first(${target})
  _holdfast_compile_together(${target} 7)
  add_dependencies(holdfast_torch_tests ${target})
  add_test(NAME ${target} COMMAND ${target} ~[cuda])
  set_tests_properties(${target} PROPERTIES
    LABELS torch TIMEOUT 600 COST 100 ${holdfast_test_environment}
    FAIL_REGULAR_EXPRESSION "assertions: - none -")

  set(cuda)
  foreach(source IN LISTS arg_SOURCES)
    file(STRINGS ${source} lines REGEX "\\[cuda\\]" LIMIT_COUNT 1)
    string(APPEND cuda "${lines}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  endforeach()
  if(cuda)
    add_test(NAME "${target} [cuda]" COMMAND
      sh ${PROJECT_SOURCE_DIR}/tests/support/run_on_gpu.sh
      ${HOLDFAST_LIBTORCH_CUDA} $<TARGET_FILE:${target}> [cuda])
    set_tests_properties("${target} [cuda]" PROPERTIES
      LABELS "torch;cuda" TIMEOUT 300 SKIP_RETURN_CODE 77 RUN_SERIAL ON
      ${holdfast_test_environment} ${holdfast_no_match})
  endif()
endfunction()
