/*
 * checkers - what AddressSanitizer, ThreadSanitizer and valgrind must be told about stacks and
 * switches.
 *
 * Without them these are empty. CHECKED_STACKS is 1 under a sanitizer: its frames are larger, and
 * its shadow of a stack must not be trimmed away under it.
 */
#ifndef NET_CHECKERS_H
#define NET_CHECKERS_H

#include <stddef.h>

#if defined(__has_feature)
#define CHECKERS_HAS(x) __has_feature(x)
#else
#define CHECKERS_HAS(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || CHECKERS_HAS(address_sanitizer)
#define CHECKERS_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define CHECKERS_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || CHECKERS_HAS(thread_sanitizer)
#define CHECKERS_TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define CHECKERS_TSAN 0
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

/* Whether switches must be told: threads are known to everyone. */
#if defined(TASKS_threads)
#define FIBERS_ASAN 0
#define FIBERS_TSAN 0
#else
#define FIBERS_ASAN CHECKERS_ASAN
#define FIBERS_TSAN CHECKERS_TSAN
#endif

#define CHECKED_STACKS (CHECKERS_ASAN || CHECKERS_TSAN)

#endif
