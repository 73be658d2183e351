#include "common/bindings.h"

#include "attention/attention.h"

THOR_BIND(thor_attention_f32);
THOR_BIND(thor_attention_bf16);
THOR_BIND(thor_attention_grad_f32);
THOR_BIND(thor_attention_grad_bf16);
