#include "common/bindings.h"

#include "cholesky_inverse/cholesky_inverse.h"

THOR_BIND(thor_cholesky_inverse_f32);
