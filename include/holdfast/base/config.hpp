#pragma once

/// Contract and body apart: `layer/name.hpp` declares, `layer/impl/name.ipp`
/// defines. Header-only is the default; a program that links
/// `holdfast::compiled` defines HOLDFAST_COMPILED and compiles the bodies once.
///
/// A header ends with
///
///     #if HOLDFAST_HEADER_ONLY
///     #include <holdfast/layer/impl/name.ipp>
///     #endif
///
/// A virtual function that is defined in an .ipp carries HOLDFAST_INLINE in its
/// class too: a class with a key function would be emitted, with all it calls,
/// into every file that includes the header.
#if defined(HOLDFAST_COMPILED)
#define HOLDFAST_HEADER_ONLY 0
#define HOLDFAST_INLINE
#else
#define HOLDFAST_HEADER_ONLY 1
#define HOLDFAST_INLINE inline
#endif
