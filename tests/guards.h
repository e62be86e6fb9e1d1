/* Memory between two pages that nobody may touch: a kernel that reads or writes beside its operands ends there.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_TESTS_GUARDS_H
#define GRADUS_TESTS_GUARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Pages between two that fault. */
typedef struct guarded {
    char *page, *start;
    size_t size;
} guarded;

static inline guarded guarded_new(size_t pages)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guarded g = { .size = pages * page };
    g.page = mmap(NULL, g.size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g.start = g.page + page;
    if (g.page == MAP_FAILED || mprotect(g.start, g.size, PROT_READ | PROT_WRITE)) puts("Bail out! no guarded memory"), exit(1);
    return g;
}
static inline void guarded_free(guarded g) { munmap(g.page, g.size + 2 * (size_t)(g.start - g.page)); }

static guarded guards[16];
static int num_guards;

/* `bytes` of zeros that end at the right guard, or begin at the left one; until drop_guards. */
static inline void *between_guards(size_t bytes, bool right)
{
    if (num_guards == 16) puts("Bail out! too many guards"), exit(1);
    const guarded g = guards[num_guards++] = guarded_new(bytes / (size_t)sysconf(_SC_PAGESIZE) + 1);
    return g.start + (right ? g.size - bytes : 0);
}
static inline void drop_guards(void)
{
    while (num_guards > 0) guarded_free(guards[--num_guards]);
}

#endif
