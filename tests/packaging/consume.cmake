# cmake -D... -P consume.cmake: configures, builds and runs the consumer in a
# fresh folder and compares what it prints.
#   ROUTE COMPONENT BINARY_DIR EXPECTED_VERSION SOURCE_DIR
#   PREFIX    where holdfast is installed (find_package only)
#   IMPLEMENTATION  does the consumer compile the bodies in a file of its own?
#   ARGUMENTS more for the configuration

file(REMOVE_RECURSE ${BINARY_DIR})
set(arguments
  -DROUTE=${ROUTE} -DCOMPONENT=${COMPONENT} -DEXPECTED_VERSION=${EXPECTED_VERSION}
  -DIMPLEMENTATION=${IMPLEMENTATION})
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
  WORKING_DIRECTORY ${BINARY_DIR}
  OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
set(expected "holdfast ${EXPECTED_VERSION}: trained 4 steps\n")
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "the consumer printed '${printed}', not '${expected}'")
endif()
