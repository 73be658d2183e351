#include "dropout/body.h"

const thor::DropoutImplementation thor::dropout_avx2 = kImplementation;
