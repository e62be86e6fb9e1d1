/* gradus: reverse-mode automatic differentiation of tensor programs. Includes the public header of each folder.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_H
#define GRADUS_H

#include "core/core.h"
#include "ops/ops.h"
#include "nn/nn.h"
#include "optim/optim.h"
#include "io/io.h"
#include "teach/teach.h"

#endif
