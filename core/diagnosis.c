/* What kind of mistake explains that gradients and differences differ? Looks at both as one matrix for each input.
 * Knows no operation.
 * SPDX-License-Identifier: MIT */
#include "core/check.h"

#include <math.h>

void gr__check_diagnose(gr_check *k, int64_t outputs, const double *a, const double *d)
{
    (void)k, (void)outputs, (void)a, (void)d;
}
