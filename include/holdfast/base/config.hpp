#pragma once

/// Contract and body apart: `layer/name.hpp` declares, `layer/impl/name.ipp`
/// defines. Which files compile the bodies, a program says by two macros:
///
/// - neither: header-only. Every file that includes a header compiles its
///   bodies, as inline functions.
/// - HOLDFAST_COMPILED in all files: contracts only. The bodies are compiled
///   once, by the target `holdfast::compiled`, which defines the macro for its
///   users, or by
/// - HOLDFAST_IMPLEMENTATION, before the first Holdfast header, in one file of
///   such a program: the bodies of all headers that this file includes.
///
/// A header ends with
///
///     #if HOLDFAST_BODIES
///     #include <holdfast/layer/impl/name.ipp>
///     #endif
///
/// A virtual function that is defined in an .ipp carries HOLDFAST_INLINE in its
/// class too: a class with a key function would be emitted, with all it calls,
/// into every file that includes the header.
#if defined(HOLDFAST_IMPLEMENTATION)
#define HOLDFAST_BODIES 1
#define HOLDFAST_INLINE
#elif defined(HOLDFAST_COMPILED)
#define HOLDFAST_BODIES 0
#define HOLDFAST_INLINE
#else
#define HOLDFAST_BODIES 1
#define HOLDFAST_INLINE inline
#endif
