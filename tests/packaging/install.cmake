# cmake -D... -P install.cmake: installs, moves the installed tree, and checks
# that nothing in it knows a folder of this machine.
#   BUILD_DIR SOURCE_DIR PREFIX
#   FORBIDDEN  more folders that must not be named

file(REMOVE_RECURSE ${PREFIX} ${PREFIX}.first)
execute_process(
  COMMAND ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${PREFIX}.first
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${PREFIX}.first ${PREFIX})

file(GLOB_RECURSE headers RELATIVE ${SOURCE_DIR}/include
  ${SOURCE_DIR}/include/*.hpp ${SOURCE_DIR}/include/*.ipp)
if(NOT headers)
  message(FATAL_ERROR "no headers in ${SOURCE_DIR}/include")
endif()
foreach(header IN LISTS headers)
  if(NOT EXISTS ${PREFIX}/include/${header})
    message(SEND_ERROR "not installed: ${header}")
  endif()
endforeach()

file(GLOB package ${PREFIX}/share/cmake/holdfast/*.cmake)
if(NOT package)
  message(FATAL_ERROR "no package in ${PREFIX}/share/cmake/holdfast")
endif()
foreach(file IN LISTS package)
  file(READ ${file} text)
  foreach(folder ${SOURCE_DIR} ${BUILD_DIR} ${PREFIX} ${FORBIDDEN})
    string(FIND "${text}" "${folder}/" position)
    if(NOT position EQUAL -1)
      message(SEND_ERROR "${file} names ${folder}")
    endif()
  endforeach()
endforeach()
