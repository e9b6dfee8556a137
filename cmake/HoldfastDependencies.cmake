# What holdfast::core needs: nlohmann_json, zstd, xxHash's header, threads.
# Used by the build and by the installed package, so both find alike. Nothing
# is downloaded.

include_guard(GLOBAL)
set(_holdfast_dependencies_dir ${CMAKE_CURRENT_LIST_DIR})

# Makes nlohmann_json::nlohmann_json, Threads::Threads, and two names of our
# own for what has no single name elsewhere: holdfast::zstd, holdfast::xxhash.
# A fatal error names what is missing; in find_package(holdfast), which may be
# without REQUIRED, the global property HOLDFAST_MISSING does.
function(holdfast_find_dependencies)
  find_package(Threads REQUIRED)
  find_package(nlohmann_json 3.11 QUIET)
  if(NOT TARGET nlohmann_json::nlohmann_json)
    _holdfast_missing("holdfast needs nlohmann_json 3.11 or newer: its CMake "
      "package was not found. Debian: apt install nlohmann-json3-dev")
  endif()
  _holdfast_find_zstd()
  _holdfast_find_xxhash()
endfunction()

# Returns from the function that calls it.
macro(_holdfast_missing)
  string(CONCAT _holdfast_text ${ARGN})
  if(CMAKE_FIND_PACKAGE_NAME STREQUAL "holdfast")
    set_property(GLOBAL PROPERTY HOLDFAST_MISSING "${_holdfast_text}")
    return()
  endif()
  message(FATAL_ERROR "${_holdfast_text}")
endmacro()

function(_holdfast_find_zstd)
  if(TARGET holdfast::zstd)
    return()
  endif()
  set(names zstd::libzstd zstd::libzstd_shared zstd::libzstd_static)
  set(known FALSE)
  foreach(name IN LISTS names)
    if(TARGET ${name})
      set(known TRUE)
    endif()
  endforeach()
  if(NOT known)
    # No version here: zstd's version file is missing in some distributions.
    find_package(zstd CONFIG QUIET GLOBAL)
    if(DEFINED zstd_VERSION AND zstd_VERSION AND zstd_VERSION VERSION_LESS 1.5)
      _holdfast_missing(
        "holdfast needs zstd 1.5 or newer, found ${zstd_VERSION} in ${zstd_DIR}")
    endif()
  endif()
  set(found)
  foreach(name IN LISTS names)
    if(TARGET ${name})
      set(found ${name})
      break()
    endif()
  endforeach()
  # Distributions ship the config without the static library or without the
  # config at all: look for header and library then.
  if(NOT found)
    find_path(HOLDFAST_ZSTD_INCLUDE_DIR zstd.h)
    find_library(HOLDFAST_ZSTD_LIBRARY zstd)
    mark_as_advanced(HOLDFAST_ZSTD_INCLUDE_DIR HOLDFAST_ZSTD_LIBRARY)
    if(NOT HOLDFAST_ZSTD_INCLUDE_DIR OR NOT HOLDFAST_ZSTD_LIBRARY)
      _holdfast_missing(
        "holdfast needs zstd 1.5 or newer: neither its CMake package nor zstd.h "
        "and its library were found. Debian: apt install libzstd-dev")
    endif()
    _holdfast_header_version(version
      ${HOLDFAST_ZSTD_INCLUDE_DIR}/zstd.h ZSTD_VERSION_)
    if(version VERSION_LESS 1.5)
      _holdfast_missing("holdfast needs zstd 1.5 or newer, found ${version} in "
        "${HOLDFAST_ZSTD_INCLUDE_DIR}")
    endif()
  endif()
  add_library(holdfast::zstd INTERFACE IMPORTED GLOBAL)
  if(found)
    set_target_properties(holdfast::zstd PROPERTIES INTERFACE_LINK_LIBRARIES ${found})
  else()
    set_target_properties(holdfast::zstd PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES ${HOLDFAST_ZSTD_INCLUDE_DIR}
      INTERFACE_LINK_LIBRARIES ${HOLDFAST_ZSTD_LIBRARY})
  endif()
endfunction()

function(_holdfast_find_xxhash)
  if(TARGET holdfast::xxhash)
    return()
  endif()
  # The header alone is used (XXH_INLINE_ALL): no library to link.
  find_path(HOLDFAST_XXHASH_INCLUDE_DIR xxhash.h)
  mark_as_advanced(HOLDFAST_XXHASH_INCLUDE_DIR)
  if(NOT EXISTS "${HOLDFAST_XXHASH_INCLUDE_DIR}/xxhash.h")
    _holdfast_missing("holdfast needs xxHash 0.8 or newer: xxhash.h was not "
      "found. Debian: apt install libxxhash-dev; elsewhere set "
      "HOLDFAST_XXHASH_INCLUDE_DIR")
  endif()
  _holdfast_header_version(version
    ${HOLDFAST_XXHASH_INCLUDE_DIR}/xxhash.h XXH_VERSION_)
  if(version VERSION_LESS 0.8)
    _holdfast_missing("holdfast needs xxHash 0.8 or newer, found ${version} in "
      "${HOLDFAST_XXHASH_INCLUDE_DIR}")
  endif()
  add_library(holdfast::xxhash INTERFACE IMPORTED GLOBAL)
  set_target_properties(holdfast::xxhash PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES ${HOLDFAST_XXHASH_INCLUDE_DIR})
endfunction()

# Sets `result` to "major.minor" or "major.minor.patch" as the header defines
# <prefix>MAJOR, MINOR and RELEASE or PATCH.
function(_holdfast_header_version result header prefix)
  file(STRINGS ${header} lines
    REGEX "^[ \t]*#[ \t]*define[ \t]+${prefix}(MAJOR|MINOR|RELEASE|PATCH)[ \t]+[0-9]+")
  set(parts)
  foreach(part MAJOR MINOR RELEASE PATCH)
    if("${lines}" MATCHES "${prefix}${part}[ \t]+([0-9]+)")
      list(APPEND parts ${CMAKE_MATCH_1})
    endif()
  endforeach()
  list(JOIN parts "." version)
  set(${result} "${version}" PARENT_SCOPE)
endfunction()
