#include "softmax_cross_entropy/body.h"

const thor::SoftmaxCrossEntropyImplementation thor::softmax_cross_entropy_portable = kImplementation;
