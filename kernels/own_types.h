/* Includes BODY for the floats whose loops are in the table of this instruction set: f32, and f64 where it is no other's.
 * No include guard: included once for each body.
 * SPDX-License-Identifier: MIT */
#ifndef OWN_F64
#define F32_ALONE
#endif
#include "kernels/types.h"
#undef F32_ALONE
