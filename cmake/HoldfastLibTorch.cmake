# Finds LibTorch and makes holdfast::libtorch. Used by the build and by the
# installed package, so both find alike. Order:
#
#   1. what the project or the user says: a target `torch` that exists already,
#      HOLDFAST_LIBTORCH_DIRECT, Torch_DIR, Torch_ROOT, CMAKE_PREFIX_PATH (as
#      variables or in the environment)
#   2. the package `torch` of the active Python (VIRTUAL_ENV, else python3)
#   3. the system's
#
# HOLDFAST_LIBTORCH=python or =system takes only that one.
#
# HOLDFAST_LIBTORCH_DIRECT=<dir> does without LibTorch's own CMake package: it
# links <dir>/lib/libtorch*.so and libc10*.so as they are. <dir> is an unpacked
# libtorch, or site-packages/torch. A CUDA build of LibTorch on a machine without
# the CUDA toolkit is linked so without being asked, because find_package(Torch)
# gives up there.

include_guard(GLOBAL)

set(HOLDFAST_LIBTORCH "auto" CACHE STRING
  "Which LibTorch: auto, python (the active Python's torch) or system")
set_property(CACHE HOLDFAST_LIBTORCH PROPERTY STRINGS auto python system)
set(HOLDFAST_LIBTORCH_DIRECT "" CACHE PATH
  "Folder of a LibTorch whose libraries are linked without its CMake package")

# Makes holdfast::libtorch. Sets HOLDFAST_LIBTORCH_VERSION,
# HOLDFAST_LIBTORCH_PREFIX (has include/ and lib/) and HOLDFAST_LIBTORCH_CUDA
# (whether it was built with CUDA). What is said where there is none, tells which
# ways there are.
macro(holdfast_find_libtorch)
  if(NOT TARGET holdfast::libtorch)
    _holdfast_find_libtorch()
  endif()
endmacro()

function(_holdfast_find_libtorch)
  set(_holdfast_libtorch_help [[
Ways to name one:
  1. -DCMAKE_PREFIX_PATH=<unpacked libtorch> or -DTorch_DIR=<folder of
     TorchConfig.cmake>
  2. a Python environment that has torch: activate it, or put its python3 first
     in PATH (pip install torch)
  3. the system's package (Debian: apt install libtorch-dev)
Where LibTorch's own CMake package does not work, for instance a CUDA build on
a machine without the CUDA toolkit, HOLDFAST_LIBTORCH_DIRECT links it directly:
  -DHOLDFAST_LIBTORCH_DIRECT=<folder with include/ and lib/>]])
  set(direct "${HOLDFAST_LIBTORCH_DIRECT}")
  if(NOT direct AND DEFINED ENV{HOLDFAST_LIBTORCH_DIRECT})
    set(direct "$ENV{HOLDFAST_LIBTORCH_DIRECT}")
  endif()
  set(how "linked directly")
  set(config)
  if(NOT direct AND NOT TARGET torch)
    _holdfast_locate_torch_config(config how)
    if(NOT config)
      _holdfast_missing(
        "holdfast: no LibTorch was found.\n${_holdfast_libtorch_help}\n"
        "Without LibTorch: find_package(holdfast COMPONENTS core), or, where "
        "holdfast itself is built, -DHOLDFAST_WITH_LIBTORCH=OFF.")
    endif()
    get_filename_component(prefix ${config}/../../.. ABSOLUTE)
    if(EXISTS ${prefix}/lib/libtorch_cuda.so)
      _holdfast_find_cuda_toolkit(toolkit)
      if(NOT toolkit)
        set(direct ${prefix})
        string(APPEND how ", linked directly: a CUDA build, and no CUDA toolkit here")
      endif()
    endif()
  endif()
  if(direct)
    get_filename_component(direct "${direct}" ABSOLUTE)
    _holdfast_link_libtorch_directly("${direct}")
    set(include_dirs ${direct}/include)
  else()
    if(config)
      # TorchConfig.cmake looks for Caffe2 in the system before it looks beside
      # itself; with two LibTorch on a machine it would mix them.
      get_filename_component(beside ${config} DIRECTORY)
      if(EXISTS ${beside}/Caffe2/Caffe2Config.cmake)
        set(Caffe2_DIR ${beside}/Caffe2 CACHE PATH "" FORCE)
      endif()
      list(PREPEND CMAKE_PREFIX_PATH ${beside})
      set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
      # Its warnings about libraries that are not part of a release are noise.
      set(log_level "${CMAKE_MESSAGE_LOG_LEVEL}")
      set(CMAKE_MESSAGE_LOG_LEVEL ERROR)
      set(Torch_DIR ${config} CACHE PATH "Folder of TorchConfig.cmake" FORCE)
      find_package(Torch QUIET CONFIG PATHS ${config} NO_DEFAULT_PATH)
      set(CMAKE_MESSAGE_LOG_LEVEL "${log_level}")
      if(NOT TARGET torch)
        message(FATAL_ERROR
          "holdfast: LibTorch's CMake package in ${config} could not be used.\n"
          "${_holdfast_libtorch_help}")
      endif()
    else()
      set(how "the project's target torch")
    endif()
    get_target_property(include_dirs torch INTERFACE_INCLUDE_DIRECTORIES)
    get_target_property(options torch INTERFACE_COMPILE_OPTIONS)
    # Not further than what it links: a project may have found its own `torch`
    # for one of its folders only.
    get_target_property(is_global torch IMPORTED_GLOBAL)
    get_target_property(is_imported torch IMPORTED)
    if(is_global OR NOT is_imported)
      add_library(holdfast::libtorch INTERFACE IMPORTED GLOBAL)
    else()
      add_library(holdfast::libtorch INTERFACE IMPORTED)
    endif()
    # The target, never TORCH_LIBRARIES: that holds absolute paths, and libc10
    # of whichever LibTorch find_library() meets first.
    set_target_properties(holdfast::libtorch PROPERTIES
      INTERFACE_LINK_LIBRARIES torch
      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${include_dirs}")
    # Which std::string LibTorch was built with.
    if(TORCH_CXX_FLAGS AND NOT "${options}" MATCHES "_GLIBCXX_USE_CXX11_ABI")
      separate_arguments(flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
      set_target_properties(holdfast::libtorch PROPERTIES
        INTERFACE_COMPILE_OPTIONS "${flags}")
    endif()
  endif()

  set(version)
  set(prefix)
  foreach(dir IN LISTS include_dirs)
    foreach(header torch/headeronly/version.h
        torch/csrc/api/include/torch/version.h torch/version.h)
      if(NOT version AND EXISTS ${dir}/${header})
        _holdfast_header_version(version ${dir}/${header} TORCH_VERSION_)
        get_filename_component(prefix ${dir} DIRECTORY)
      endif()
    endforeach()
  endforeach()
  if(NOT version)
    message(FATAL_ERROR "holdfast: no version.h of LibTorch in ${include_dirs}")
  endif()
  if(version VERSION_LESS 1.13)
    message(FATAL_ERROR
      "holdfast needs LibTorch 1.13 or newer, found ${version} in ${prefix}")
  endif()
  set_property(TARGET holdfast::libtorch APPEND PROPERTY
    INTERFACE_COMPILE_FEATURES cxx_std_17)
  if(version VERSION_GREATER_EQUAL 2.14)
    # Its headers refuse anything older.
    set_property(TARGET holdfast::libtorch APPEND PROPERTY
      INTERFACE_COMPILE_FEATURES cxx_std_20)
  endif()

  set(cuda FALSE)
  file(GLOB cuda_library ${prefix}/lib/libtorch_cuda.so*)
  if(cuda_library OR TARGET torch_cuda)
    set(cuda TRUE)
  endif()

  message(STATUS "holdfast: LibTorch ${version} in ${prefix} (${how})")
  set(HOLDFAST_LIBTORCH_VERSION ${version} CACHE INTERNAL "LibTorch's version")
  set(HOLDFAST_LIBTORCH_PREFIX ${prefix} CACHE INTERNAL "LibTorch's folder")
  set(HOLDFAST_LIBTORCH_CUDA ${cuda} CACHE INTERNAL "LibTorch was built with CUDA")
endfunction()

# Sets `result` to the folder of TorchConfig.cmake, or nothing.
function(_holdfast_locate_torch_config result how)
  set(${result} "" PARENT_SCOPE)
  set(suffixes
    Torch share/cmake/Torch lib/cmake/Torch
    lib/${CMAKE_LIBRARY_ARCHITECTURE}/cmake/Torch)

  if(HOLDFAST_LIBTORCH STREQUAL "auto")
    if(Torch_DIR AND EXISTS "${Torch_DIR}/TorchConfig.cmake")
      set(${result} "${Torch_DIR}" PARENT_SCOPE)
      set(${how} "Torch_DIR" PARENT_SCOPE)
      return()
    endif()
    set(roots ${Torch_ROOT} $ENV{Torch_DIR} $ENV{Torch_ROOT} ${CMAKE_PREFIX_PATH})
    string(REPLACE ":" ";" environment "$ENV{CMAKE_PREFIX_PATH}")
    list(APPEND roots ${environment})
    find_path(found TorchConfig.cmake PATHS ${roots}
      PATH_SUFFIXES ${suffixes} NO_DEFAULT_PATH NO_CACHE)
    if(found)
      set(${result} "${found}" PARENT_SCOPE)
      set(${how} "as the user set it" PARENT_SCOPE)
      return()
    endif()
  elseif(NOT HOLDFAST_LIBTORCH MATCHES "^(python|system)$")
    message(FATAL_ERROR
      "HOLDFAST_LIBTORCH is auto, python or system, not '${HOLDFAST_LIBTORCH}'")
  endif()

  if(NOT HOLDFAST_LIBTORCH STREQUAL "system")
    set(active)
    if(NOT "$ENV{VIRTUAL_ENV}" STREQUAL "")
      set(active $ENV{VIRTUAL_ENV}/bin)
    endif()
    find_program(python NAMES python3 python
      HINTS ${active} NO_CMAKE_PATH NO_CMAKE_ENVIRONMENT_PATH NO_CACHE)
    if(python)
      # The place of torch.utils.cmake_prefix_path, without importing torch,
      # which takes seconds.
      execute_process(
        COMMAND ${python} -c
          "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
        OUTPUT_VARIABLE package OUTPUT_STRIP_TRAILING_WHITESPACE
        ERROR_QUIET RESULT_VARIABLE status)
      if(status EQUAL 0 AND EXISTS "${package}/share/cmake/Torch/TorchConfig.cmake")
        set(${result} "${package}/share/cmake/Torch" PARENT_SCOPE)
        set(${how} "from ${python}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endif()

  if(NOT HOLDFAST_LIBTORCH STREQUAL "python")
    find_path(found_system TorchConfig.cmake
      PATH_SUFFIXES ${suffixes} NO_CMAKE_PATH NO_CMAKE_ENVIRONMENT_PATH NO_CACHE)
    if(found_system)
      set(${result} "${found_system}" PARENT_SCOPE)
      set(${how} "the system's" PARENT_SCOPE)
    endif()
  endif()
endfunction()

function(_holdfast_find_cuda_toolkit result)
  find_program(nvcc nvcc NO_CACHE
    HINTS ${CUDAToolkit_ROOT} ${CUDA_TOOLKIT_ROOT_DIR} $ENV{CUDAToolkit_ROOT}
      $ENV{CUDA_HOME} $ENV{CUDA_PATH}
    PATHS /usr/local/cuda
    PATH_SUFFIXES bin)
  set(${result} FALSE PARENT_SCOPE)
  if(nvcc OR CMAKE_CUDA_COMPILER OR DEFINED ENV{CUDACXX})
    set(${result} TRUE PARENT_SCOPE)
  endif()
endfunction()

function(_holdfast_link_libtorch_directly prefix)
  set(libraries)
  foreach(name torch torch_cpu c10 torch_cuda c10_cuda)
    if(EXISTS ${prefix}/lib/lib${name}.so)
      list(APPEND libraries ${prefix}/lib/lib${name}.so)
    elseif(NOT name MATCHES "cuda$")
      message(FATAL_ERROR
        "HOLDFAST_LIBTORCH_DIRECT=${prefix}: lib/lib${name}.so is not there")
    endif()
  endforeach()
  if(NOT EXISTS ${prefix}/include/torch/csrc/api/include/torch/torch.h)
    message(FATAL_ERROR
      "HOLDFAST_LIBTORCH_DIRECT=${prefix}: LibTorch's headers are not in include/")
  endif()

  # Which std::string LibTorch was built with: its CMake package says so, or
  # the names in libc10.
  set(abi)
  set(config ${prefix}/share/cmake/Torch/TorchConfig.cmake)
  if(EXISTS ${config})
    file(STRINGS ${config} line REGEX "_GLIBCXX_USE_CXX11_ABI=[01]" LIMIT_COUNT 1)
    if(line MATCHES "_GLIBCXX_USE_CXX11_ABI=([01])")
      set(abi ${CMAKE_MATCH_1})
    endif()
  endif()
  if("${abi}" STREQUAL "")
    file(STRINGS ${prefix}/lib/libc10.so names
      REGEX "^_ZN3c106detail14torchCheckFail.*__cxx1112basic_string" LIMIT_COUNT 1)
    set(abi 0)
    if(names)
      set(abi 1)
    endif()
  endif()

  add_library(holdfast::libtorch INTERFACE IMPORTED GLOBAL)
  # The kernels register themselves from static constructors: the linker must
  # keep libraries that nothing refers to. What the libraries themselves need
  # they find at run time, beside them or in other packages.
  set_target_properties(holdfast::libtorch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES
      "${prefix}/include;${prefix}/include/torch/csrc/api/include"
    INTERFACE_COMPILE_DEFINITIONS _GLIBCXX_USE_CXX11_ABI=${abi}
    INTERFACE_LINK_LIBRARIES
      "-Wl,--push-state,--no-as-needed;${libraries};-Wl,--pop-state"
    INTERFACE_LINK_OPTIONS -Wl,--allow-shlib-undefined)
endfunction()
