#include "l2_norm/body.h"

const thor::L2NormImplementation thor::l2_norm_avx2 = SumOfSquares;
