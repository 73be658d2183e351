/* The C ABI of libthor_kernels.so: every operation's functions and entry points, and what they share. */
#ifndef THOR_KERNELS_H_
#define THOR_KERNELS_H_

#include "adam/adam.h"
#include "attention/attention.h"
#include "bias_gelu/bias_gelu.h"
#include "cholesky_inverse/cholesky_inverse.h"
#include "common/isa.h"
#include "common/status.h"
#include "dropout/dropout.h"
#include "embedding/embedding.h"
#include "factor_average/factor_average.h"
#include "fisher_covariance/fisher_covariance.h"
#include "inverse_update/inverse_update.h"
#include "l2_norm/l2_norm.h"
#include "layer_norm/layer_norm.h"
#include "momentum/momentum.h"
#include "precondition/precondition.h"
#include "residual_dropout_layer_norm/residual_dropout_layer_norm.h"
#include "softmax_cross_entropy/softmax_cross_entropy.h"
#include "weight_update/weight_update.h"

#endif  // THOR_KERNELS_H_
