#include "common/bindings.h"

#include "fisher_covariance/fisher_covariance.h"

THOR_BIND(thor_fisher_covariance_f32);
THOR_BIND(thor_fisher_covariance_bf16);
THOR_BIND(thor_weighted_fisher_covariance_f32);
THOR_BIND(thor_weighted_fisher_covariance_bf16);
