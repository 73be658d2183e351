#include "adam/body.h"

const thor::AdamImplementation thor::adam_avx2 = kImplementation;
