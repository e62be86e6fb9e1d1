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

/* A table begins as that of the set before it, and a source need not give it all: loops over integers and bools are those of the
 * portable table, and over doubles those of AVX2, but for the matrix product. Longer vectors bring little to a loop that waits for
 * memory, and a third version of each would be half as much code again. */
#if defined(__AVX512F__)
#define BASE_TABLE gr__table_avx2
#elif defined(__AVX2__)
#define BASE_TABLE gr__table_portable
#define OWN_F64
#else
#define OWN_F64
#define OWN_INTEGERS
#endif
#ifdef BASE_TABLE
const gr_kernel_table *BASE_TABLE(void);
#endif
#ifdef OWN_F64
#define IF_OWN_F64(...) __VA_ARGS__
#else
#define IF_OWN_F64(...)
#endif
/* t->field = the function `name` of each float type that is compiled here */
#define SET_FLOATS(field, name) (t->field[GR_K_F32] = f32_##name IF_OWN_F64(, t->field[GR_K_F64] = f64_##name))

/* What each source gives to the table of this instruction set. */
void FOR_ISA(gr__fill_elementwise)(gr_kernel_table *t);
void FOR_ISA(gr__fill_functions)(gr_kernel_table *t);
void FOR_ISA(gr__fill_reduce)(gr_kernel_table *t);
void FOR_ISA(gr__fill_rows)(gr_kernel_table *t);
void FOR_ISA(gr__fill_attention)(gr_kernel_table *t);
void FOR_ISA(gr__fill_max_tiles)(gr_kernel_table *t);
void FOR_ISA(gr__fill_lstm)(gr_kernel_table *t);
void FOR_ISA(gr__fill_update)(gr_kernel_table *t);
void FOR_ISA(gr__fill_affine)(gr_kernel_table *t);
void FOR_ISA(gr__fill_gemm)(gr_kernel_table *t);
void FOR_ISA(gr__fill_conv)(gr_kernel_table *t);
void FOR_ISA(gr__fill_pool)(gr_kernel_table *t);
const gr_kernel_table *FOR_ISA(gr__table)(void);

#endif
