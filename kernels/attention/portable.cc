#include "attention/body.h"

const thor::AttentionImplementation thor::attention_portable = kImplementation;
