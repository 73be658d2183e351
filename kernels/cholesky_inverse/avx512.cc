#include "cholesky_inverse/body.h"

const thor::CholeskyInverseImplementation thor::cholesky_inverse_avx512 = InvertBlock;
