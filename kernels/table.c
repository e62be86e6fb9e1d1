/* The table of one instruction set, filled from each source.
 * SPDX-License-Identifier: MIT */
#include "kernels/isa.h"

const gr_kernel_table *FOR_ISA(gr__table)(void)
{
    static gr_kernel_table table;
    if (table.isa) return &table;
#ifdef BASE_TABLE
    table = *BASE_TABLE();
#endif
    FOR_ISA(gr__fill_elementwise)(&table);
    FOR_ISA(gr__fill_functions)(&table);
    FOR_ISA(gr__fill_reduce)(&table);
    FOR_ISA(gr__fill_rows)(&table);
    FOR_ISA(gr__fill_attention)(&table);
    FOR_ISA(gr__fill_max_tiles)(&table);
    FOR_ISA(gr__fill_lstm)(&table);
    FOR_ISA(gr__fill_update)(&table);
    FOR_ISA(gr__fill_affine)(&table);
    FOR_ISA(gr__fill_gemm)(&table);
    FOR_ISA(gr__fill_conv)(&table);
    FOR_ISA(gr__fill_pool)(&table);
    table.isa = GR_ISA_STR(GR_ISA);
    return &table;
}
