#include "precondition/body.h"

const thor::PreconditionImplementation thor::precondition_avx512 = ComputeStrips;
