// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The sign rule of results, for every function of the tree that returns int:
 *   0    done
 *   < 0  -errno: the environment failed; forwarded unchanged
 *   > 0  an enum of the header that declares the function; handled by the direct caller, never forwarded
 * A bug is none of these: ASSERT aborts, in release builds too, and the service manager restarts.
 */
#include <stddef.h>

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define LIKELY(x)              __builtin_expect(!!(x), 1)
#define UNLIKELY(x)            __builtin_expect(!!(x), 0)

#define ASSERT(x)              (LIKELY(x) ? (void)0 : err_assert_failed(#x, __FILE__, __LINE__, __func__))

/* err_assert_failed: print the broken assumption to stderr and abort. Any thread; does not return. */
__attribute__((noreturn, cold)) void err_assert_failed(const char *what, const char *file, int line,
                                                       const char *func);

/* CLEANUP(f): call f(&variable) when the variable goes out of scope. TAKE_PTR: move a pointer out. */
#define CLEANUP(f) __attribute__((cleanup(f)))
#define TAKE_PTR(p)                \
    ({                             \
        __typeof__(p) take_ = (p); \
        (p) = NULL;                \
        take_;                     \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member)                             \
    ({                                                              \
        __typeof__(((type *)NULL)->member) *member_ = (ptr);        \
        (type *)(void *)((char *)member_ - offsetof(type, member)); \
    })
#define MIN(a, b)                          \
    ({                                     \
        __typeof__(a) min_a_ = (a);        \
        __typeof__(b) min_b_ = (b);        \
        min_a_ < min_b_ ? min_a_ : min_b_; \
    })
#define MAX(a, b)                          \
    ({                                     \
        __typeof__(a) max_a_ = (a);        \
        __typeof__(b) max_b_ = (b);        \
        max_a_ > max_b_ ? max_a_ : max_b_; \
    })

/* err_close: close *fd when it is open and set it to -1; for CLEANUP and for owners' deinit. */
void err_close(int *fd);
