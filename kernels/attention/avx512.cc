#include "attention/body.h"

const thor::AttentionImplementation thor::attention_avx512 = kImplementation;
