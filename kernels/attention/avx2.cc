#include "attention/body.h"

const thor::AttentionImplementation thor::attention_avx2 = kImplementation;
