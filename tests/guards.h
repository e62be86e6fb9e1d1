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

static struct guard {
    char *map;
    size_t size;
} guards[16];
static int num_guards;

/* `bytes` of zeros that end at the right guard, or begin at the left one; until drop_guards. */
static inline void *between_guards(size_t bytes, bool right)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes / page + 1) * page;
    struct guard g = { mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), room + 2 * page };
    if (g.map == MAP_FAILED || num_guards == 16 || mprotect(g.map + page, room, PROT_READ | PROT_WRITE)) puts("Bail out! no guarded memory"), exit(1);
    guards[num_guards++] = g;
    return g.map + page + (right ? room - bytes : 0);
}
static inline void drop_guards(void)
{
    while (num_guards > 0) num_guards--, munmap(guards[num_guards].map, guards[num_guards].size);
}

#endif
