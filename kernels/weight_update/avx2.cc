#include "weight_update/body.h"

const thor::WeightUpdateImplementation thor::weight_update_avx2 = Move;
