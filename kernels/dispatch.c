/* Which instruction set to use: the best that this machine has, masked by GRADUS_ISA.
 * SPDX-License-Identifier: MIT */
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>
#include <threads.h>

const gr_kernel_table *gr__table_portable(void);
#ifdef GR_HAVE_NEON
const gr_kernel_table *gr__table_neon(void);
#endif
#ifdef GR_HAVE_X86
const gr_kernel_table *gr__table_avx2(void);
const gr_kernel_table *gr__table_avx512(void);
#endif

/* With gr__chosen_kernels the only global state: written once, before anyone reads it. */
static struct {
    const gr_kernel_table *list[4], *chosen;
    int n;
} tables;
static once_flag once = ONCE_FLAG_INIT;

static void fill(void)
{
    tables.list[tables.n++] = gr__table_portable();
#ifdef GR_HAVE_NEON
    tables.list[tables.n++] = gr__table_neon(); /* every 64-bit ARM has it */
#endif
#ifdef GR_HAVE_X86
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (avx2) tables.list[tables.n++] = gr__table_avx2();
    if (avx512) tables.list[tables.n++] = gr__table_avx512();
#endif
    tables.chosen = tables.list[tables.n - 1];
    const char *mask = getenv("GRADUS_ISA");
    for (int i = 0; mask && i < tables.n; i++)
        if (strcmp(mask, tables.list[i]->isa) == 0) tables.chosen = tables.list[i];
}

_Atomic(const gr_kernel_table *) gr__chosen_kernels;

const gr_kernel_table *gr__choose_kernels(void)
{
    call_once(&once, fill);
    atomic_store_explicit(&gr__chosen_kernels, tables.chosen, memory_order_release);
    return tables.chosen;
}

int gr__kernel_tables(const gr_kernel_table *const **list)
{
    call_once(&once, fill);
    *list = tables.list;
    return tables.n;
}
