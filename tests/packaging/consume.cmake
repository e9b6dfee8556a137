# cmake -D... -P consume.cmake: configures, builds and runs the consumer in a
# fresh folder and compares what it prints.
#   ROUTE COMPONENT BINARY_DIR EXPECTED_VERSION SOURCE_DIR
#   PREFIX    where holdfast is installed (find_package only)
#   ARGUMENTS more for the configuration

file(REMOVE_RECURSE ${BINARY_DIR})
set(arguments
  -DROUTE=${ROUTE} -DCOMPONENT=${COMPONENT} -DEXPECTED_VERSION=${EXPECTED_VERSION})
if(ROUTE STREQUAL "find_package")
  list(APPEND arguments -Dholdfast_ROOT=${PREFIX})
else()
  list(APPEND arguments -DHOLDFAST_SOURCE=${SOURCE_DIR})
  if(COMPONENT MATCHES "core")
    list(APPEND arguments -DHOLDFAST_WITH_LIBTORCH=OFF)
  endif()
endif()

execute_process(
  COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/consumer -B ${BINARY_DIR}
    ${arguments} ${ARGUMENTS}
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(
  COMMAND ${CMAKE_COMMAND} --build ${BINARY_DIR} --parallel 2
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(
  COMMAND ${BINARY_DIR}/consumer
  OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
set(expected "holdfast ${EXPECTED_VERSION}: invalid_argument\n")
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "the consumer printed '${printed}', not '${expected}'")
endif()
