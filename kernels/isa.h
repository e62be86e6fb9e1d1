/* What differs between instruction sets: a suffix for names, the vector width, fused multiply-add.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_KERNELS_ISA_H
#define GRADUS_KERNELS_ISA_H

#include "kernels/kernels.h"

#ifndef GR_ISA
#define GR_ISA portable
#endif
#define GR_ISA_CAT_(a, b) a##_##b
#define GR_ISA_CAT(a, b) GR_ISA_CAT_(a, b)
#define FOR_ISA(name) GR_ISA_CAT(name, GR_ISA)
#define GR_ISA_STR_(x) #x
#define GR_ISA_STR(x) GR_ISA_STR_(x)

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#ifdef GR_NEON
#include <arm_neon.h>
#endif
#if defined(__FMA__) || defined(GR_NEON)
#define FUSES /* a multiply-add is one instruction, and rounds once */
#endif

/* What each source gives to the table of this instruction set. */
void FOR_ISA(gr__fill_elementwise)(gr_kernel_table *t);
void FOR_ISA(gr__fill_functions)(gr_kernel_table *t);
void FOR_ISA(gr__fill_reduce)(gr_kernel_table *t);
void FOR_ISA(gr__fill_rows)(gr_kernel_table *t);
void FOR_ISA(gr__fill_attention)(gr_kernel_table *t);
void FOR_ISA(gr__fill_max_tiles)(gr_kernel_table *t);
void FOR_ISA(gr__fill_lstm)(gr_kernel_table *t);
void FOR_ISA(gr__fill_update)(gr_kernel_table *t);
void FOR_ISA(gr__fill_gemm)(gr_kernel_table *t);
void FOR_ISA(gr__fill_conv)(gr_kernel_table *t);
void FOR_ISA(gr__fill_pool)(gr_kernel_table *t);
const gr_kernel_table *FOR_ISA(gr__table)(void);

#endif
