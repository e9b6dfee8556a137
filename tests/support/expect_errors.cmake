# Compiles a file that must not compile and compares the errors with its lines
# `// error: <text>`: every text is in one error, and there are no other errors.
#
#   cmake -DCOMPILER=c++ "-DARGUMENTS=-std=c++17|-Iinclude" -DSOURCE=cases.cpp
#     -P expect_errors.cmake

file(STRINGS ${SOURCE} expected REGEX "^// error: ")
if(NOT expected)
  message(FATAL_ERROR "${SOURCE} expects no error")
endif()
string(REPLACE "|" ";" arguments "${ARGUMENTS}")
execute_process(
  COMMAND ${COMPILER} ${arguments} -w -fsyntax-only ${SOURCE}
  ERROR_VARIABLE output RESULT_VARIABLE status)
if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles")
endif()
# Semicolons and brackets would cut or join the elements of a list.
string(REGEX REPLACE "[][;]" " " text "${output}")
string(REGEX MATCHALL "error: [^\n]*" errors "${text}")

set(problems)
foreach(line IN LISTS expected)
  string(REPLACE "// error: " "" wanted "${line}")
  set(found FALSE)
  foreach(error IN LISTS errors)
    string(FIND "${error}" "holdfast: ${wanted}" place)
    if(place GREATER_EQUAL 0)
      list(FIND errors "${error}" index)
      list(REMOVE_AT errors ${index})
      set(found TRUE)
      break()
    endif()
  endforeach()
  if(NOT found)
    string(APPEND problems "no such error: ${wanted}\n")
  endif()
endforeach()
foreach(error IN LISTS errors)
  string(APPEND problems "unexpected ${error}\n")
endforeach()
if(problems)
  message(FATAL_ERROR "${problems}\n${output}")
endif()
