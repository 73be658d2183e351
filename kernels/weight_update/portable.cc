#include "weight_update/body.h"

const thor::WeightUpdateImplementation thor::weight_update_portable = Move;
