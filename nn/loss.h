/* What the files of losses share.
 * SPDX-License-Identifier: MIT */
#ifndef GRADUS_NN_LOSS_H
#define GRADUS_NN_LOSS_H

#include "nn/nn.h"

/* y reduced; NULL gives NULL. */
gr_tensor *gr__reduce_loss(const char *who, gr_tensor *y, gr_reduction reduction);
/* Prediction and target are there and have one shape; else an error that names both. */
bool gr__loss_shapes(const char *who, gr_tensor *p, gr_tensor *t, bool allow_broadcast);

#endif
