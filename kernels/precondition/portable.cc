#include "precondition/body.h"

const thor::PreconditionImplementation thor::precondition_portable = ComputeStrips;
