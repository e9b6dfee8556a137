# What the layers' CMakeLists.txt call.

find_package(Catch2 REQUIRED)
include(Catch)

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
  catch_discover_tests(${target} PROPERTIES LABELS core TIMEOUT 120)
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
  add_test(NAME ${target} COMMAND ${target} ~[cuda])
  set_tests_properties(${target} PROPERTIES LABELS torch TIMEOUT 300)

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
      LABELS "torch;cuda" TIMEOUT 300 SKIP_RETURN_CODE 77 RUN_SERIAL ON)
  endif()
endfunction()
