# holdfast::core_compiled and holdfast::compiled: the bodies (impl/*.ipp)
# compiled once instead of in every file that includes them. Both define
# HOLDFAST_COMPILED for their users. Used by the build and by the installed
# package, which compiles the installed bodies in the user's project, with the
# user's compiler, standard and flags.

include_guard(GLOBAL)

# Headers of a group: `core` needs no LibTorch, `libtorch` does. Paths relative
# to `include_dir`. `extension` is hpp or ipp.
function(holdfast_headers result group extension include_dir)
  file(GLOB_RECURSE all CONFIGURE_DEPENDS RELATIVE ${include_dir}
    ${include_dir}/holdfast/*.${extension})
  list(SORT all)
  set(chosen)
  foreach(file IN LISTS all)
    if(file MATCHES "^holdfast/(libtorch|distributed)/"
        OR file MATCHES "^holdfast/(impl/)?(checkpoint_manager|holdfast)\\.")
      set(this libtorch)
    else()
      set(this core)
    endif()
    if(this STREQUAL group)
      list(APPEND chosen ${file})
    endif()
  endforeach()
  set(${result} ${chosen} PARENT_SCOPE)
endfunction()

# One source file per layer for `core`; one in all for `libtorch`, because
# reading LibTorch's headers costs more than everything else.
function(_holdfast_generate_sources result group include_dir)
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/holdfast_compiled)
  holdfast_headers(bodies ${group} ipp ${include_dir})
  set(names)
  foreach(body IN LISTS bodies)
    if(group STREQUAL "libtorch")
      set(name libtorch)
    else()
      string(REGEX REPLACE "^holdfast/(.*/)?impl/.*$" "\\1" name ${body})
      string(REPLACE "/" "" name "${name}")
      if(name STREQUAL "")
        set(name holdfast)
      endif()
    endif()
    list(APPEND names ${name})
    list(APPEND text_${name} "#include <${body}>\n")
  endforeach()
  list(REMOVE_DUPLICATES names)
  set(sources)
  foreach(name IN LISTS names)
    list(JOIN text_${name} "" text)
    file(CONFIGURE OUTPUT ${directory}/${name}.cpp CONTENT "${text}" @ONLY)
    list(APPEND sources ${directory}/${name}.cpp)
  endforeach()
  if(NOT sources)
    file(CONFIGURE OUTPUT ${directory}/${group}_empty.cpp CONTENT "\n" @ONLY)
    set(sources ${directory}/${group}_empty.cpp)
  endif()
  set(${result} ${sources} PARENT_SCOPE)
endfunction()

function(holdfast_add_core_compiled include_dir)
  _holdfast_generate_sources(sources core ${include_dir})
  add_library(holdfast_core_compiled STATIC EXCLUDE_FROM_ALL ${sources})
  add_library(holdfast::core_compiled ALIAS holdfast_core_compiled)
  target_compile_definitions(holdfast_core_compiled PUBLIC HOLDFAST_COMPILED)
  target_link_libraries(holdfast_core_compiled PUBLIC holdfast::core)
  set_target_properties(holdfast_core_compiled PROPERTIES
    POSITION_INDEPENDENT_CODE ON)
endfunction()

function(holdfast_add_compiled include_dir)
  _holdfast_generate_sources(sources libtorch ${include_dir})
  add_library(holdfast_compiled STATIC EXCLUDE_FROM_ALL ${sources})
  add_library(holdfast::compiled ALIAS holdfast_compiled)
  target_link_libraries(holdfast_compiled
    PUBLIC holdfast::core_compiled holdfast::holdfast)
  set_target_properties(holdfast_compiled PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()
