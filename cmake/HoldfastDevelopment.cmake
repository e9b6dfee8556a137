# Flags of Holdfast's own binaries; never exported, never seen by users.

add_library(holdfast_warnings INTERFACE)
add_library(holdfast_sanitizers INTERFACE)

if(PROJECT_IS_TOP_LEVEL)
  target_compile_options(holdfast_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  if(HOLDFAST_WERROR)
    target_compile_options(holdfast_warnings INTERFACE -Werror)
  endif()

  find_program(HOLDFAST_CCACHE ccache)
  mark_as_advanced(HOLDFAST_CCACHE)
  if(HOLDFAST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${HOLDFAST_CCACHE})
  endif()

  # The newest standard that was asked for, without extensions.
  if(NOT DEFINED CMAKE_CXX_STANDARD)
    set(CMAKE_CXX_STANDARD 17)
  endif()
  set(CMAKE_CXX_STANDARD_REQUIRED ON)
  set(CMAKE_CXX_EXTENSIONS OFF)
endif()

if(HOLDFAST_SANITIZE)
  target_compile_options(holdfast_sanitizers INTERFACE
    -fsanitize=${HOLDFAST_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(holdfast_sanitizers INTERFACE
    -fsanitize=${HOLDFAST_SANITIZE})
endif()
