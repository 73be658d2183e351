#include "precondition/body.h"

const thor::PreconditionImplementation thor::precondition_avx2 = ComputeStrips;
