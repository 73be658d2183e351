"""BERT for pretraining: masked language model with a tied decoder, and next-sentence prediction.

Letters: B sequences, S positions, H hidden size, P masked positions, V vocabulary, N = B·S rows, K attention heads, D = H/K.

Post-norm encoder of Devlin et al. (2018). Rows stay a matrix [N, H] from the embedding to the loss; only attention sees heads.
"""

from __future__ import annotations

from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.compat import name_parameters
from bert_thor.kernels.attention.reference import MASKED
from bert_thor.network.initial_values import initial_value
from bert_thor.network.layers import Dropout, Fork, LayerNorm, Linear, ResidualNorm, Table
from bert_thor.network.precision import activation_type
from bert_thor.network.sizes import BertConfig
from bert_thor.ops.attention import attention
from bert_thor.ops.bias_gelu import bias_gelu
from bert_thor.ops.embedding import embedding
from bert_thor.ops.linear import linear
from bert_thor.ops.softmax_cross_entropy import softmax_cross_entropy
from bert_thor.precision import Precision


class Embedding(nn.Cell):
    """Sum of token, position and segment tables and layer normalisation in float32, rounded once to the activations' type; dropout."""

    def __init__(self, config: BertConfig, precision: Precision) -> None:
        super().__init__()
        self.activations = activation_type(precision)
        self.token_table = _zeros(config.vocab_size, config.hidden_size)
        self.position_table = _zeros(config.max_position, config.hidden_size)
        self.segment_table = _zeros(config.type_vocab_size, config.hidden_size)
        self.tokens = Table(self.token_table)
        self.positions = Table(self.position_table)
        self.segments = Table(self.segment_table)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout, site=0)

    def construct(self, ids_BS: Tensor, segments_BS: Tensor, seed: Tensor) -> Tensor:
        """Return the embedded rows [N, H]."""
        batch, length = ids_BS.shape
        tokens = self.tokens(ids_BS.reshape(-1))
        segments = self.segments(segments_BS.reshape(-1))
        positions = ops.tile(self.positions(ops.arange(length).astype(ms.int32)), (batch, 1))
        return self.dropout(self.norm(tokens + segments + positions).astype(self.activations), seed)


class SelfAttention(nn.Cell):
    """dropout(softmax(QKᵀ/√D + mask)) V with one fused projection for query, key and value; the scores never reach memory."""

    def __init__(self, config: BertConfig, site: int) -> None:
        super().__init__()
        self.qkv = Linear(config.hidden_size, 3 * config.hidden_size)
        self.training_attention = attention(config.num_heads, config.attention_dropout, site)
        self.attention = attention(config.num_heads, 0.0, site)

    def construct(self, x_NH: Tensor, mask_BS: Tensor, seed: Tensor) -> Tensor:
        """Return the mixed values [N, H], before the output projection; `mask_BS` is added to the scores."""
        if self.training:
            return self.training_attention(self.qkv(x_NH), self.qkv.bias, mask_BS, seed)
        return self.attention(self.qkv(x_NH), self.qkv.bias, mask_BS, seed)


class EncoderLayer(nn.Cell):
    """Attention and feed-forward, each followed by residual sum and layer normalisation."""

    def __init__(self, config: BertConfig, index: int) -> None:
        super().__init__()
        hidden, eps, probability = config.hidden_size, config.layer_norm_eps, config.hidden_dropout
        self.attention_input, self.intermediate_input = Fork(), Fork()
        self.attention = SelfAttention(config, site=3 * index + 1)
        self.attention_output = Linear(hidden, hidden)
        self.attention_norm = ResidualNorm(hidden, eps, probability, site=3 * index + 2)
        self.intermediate = Linear(hidden, config.intermediate_size)
        self.gelu = bias_gelu()
        self.output = Linear(config.intermediate_size, hidden)
        self.output_norm = ResidualNorm(hidden, eps, probability, site=3 * index + 3)

    def construct(self, x_NH: Tensor, mask_BS: Tensor, seed: Tensor) -> Tensor:
        """Return the layer's output rows [N, H]."""
        x_NH, residual_NH = self.attention_input(x_NH)
        mixed = self.attention(x_NH, mask_BS, seed)
        x_NH = self.attention_norm(self.attention_output(mixed), self.attention_output.bias, residual_NH, seed)
        x_NH, residual_NH = self.intermediate_input(x_NH)
        inner = self.gelu(self.intermediate(x_NH), self.intermediate.bias)
        return self.output_norm(self.output(inner), self.output.bias, residual_NH, seed)


class Bert(nn.Cell):
    """Embedding and encoder."""

    def __init__(self, config: BertConfig, precision: Precision) -> None:
        super().__init__()
        self.embedding = Embedding(config, precision)
        self.layers = nn.CellList([EncoderLayer(config, index) for index in range(config.num_layers)])

    def construct(self, ids_BS: Tensor, mask_BS: Tensor, segments_BS: Tensor, seed: Tensor) -> Tensor:
        """Return the last layer's rows [N, H]."""
        x_NH = self.embedding(ids_BS, segments_BS, seed)
        added_BS = (1.0 - mask_BS.astype(ms.float32)) * MASKED
        for layer in self.layers:
            x_NH = layer(x_NH, added_BS, seed)
        return x_NH


class BertForPreTraining(nn.Cell):
    """BERT with both heads, its activations and products in `precision`, its parameters in float32."""

    def __init__(self, config: BertConfig, seed: int = 0, precision: Precision = "float32") -> None:
        super().__init__()
        config.check()
        hidden = config.hidden_size
        self.config = config
        self.activations = activation_type(precision)
        self.bert = Bert(config, precision)
        self.heads, self.rows = Fork(), embedding()
        self.transform = Linear(hidden, hidden)
        self.transform_gelu = bias_gelu()
        self.transform_norm = LayerNorm(hidden, config.layer_norm_eps)
        self.decoder_bias = _zeros(config.vocab_size)
        self.pooler = Linear(hidden, hidden)
        self.next_sentence = Linear(hidden, 2)
        self.decode = linear()
        name_parameters(self)
        initialise(self, config.initializer_range, seed)

    def construct(
        self, ids_BS: Tensor, mask_BS: Tensor, segments_BS: Tensor, positions_BP: Tensor, seed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the masked positions' scores over the vocabulary [B·P, V] in the run's precision, the bias [V] that makes them logits,
        and the next-sentence logits [B, 2], both float32. The loss adds the bias in passing. `seed` is `dropout_seed(seed, step)`; it
        matters while training only.
        """
        batch, length = ids_BS.shape
        x_NH, pooler_NH = self.heads(self.bert(ids_BS, mask_BS, segments_BS, seed))
        starts = ops.arange(batch).astype(ms.int32).reshape(-1, 1) * length
        masked = self.rows(x_NH, (positions_BP + starts).reshape(-1))
        masked = self.transform_norm(self.transform_gelu(self.transform(masked), self.transform.bias))
        scores = self.decode(masked, self.bert.embedding.token_table)
        pooled = self.pooler(self.rows(pooler_NH, starts.reshape(-1))).astype(ms.float32)
        pooled = ops.tanh(pooled + self.pooler.bias).astype(self.activations)
        sentence = self.next_sentence(pooled).astype(ms.float32) + self.next_sentence.bias
        return scores, self.decoder_bias, sentence


class PretrainingLoss(nn.Cell):
    """loss = Σ w·nll / (Σ w + 1e-5) over the masked positions + mean nll over the sentence pairs, as MLPerf's reference.

    With `ranks` > 1 processes the batch is one of as many equal slices of a global batch, and the losses are this slice's share of the
    global losses: their sum over the ranks is the loss of the global batch, whatever the slices' numbers of masked tokens.
    With `parts` > 1 the batch is one of as many equal micro-batches of that slice, and the mean of their losses is the slice's.
    """

    def __init__(self, ranks: int = 1, parts: int = 1) -> None:
        super().__init__()
        self.ranks, self.parts = ranks, parts
        self.sum_over_ranks = ops.AllReduce() if ranks > 1 else None
        self.cross_entropy = softmax_cross_entropy()

    def construct(
        self,
        scores: Tensor,
        bias: Tensor,
        sentence: Tensor,
        labels_BP: Tensor,
        weights_BP: Tensor,
        sentence_labels: Tensor,
        slice_weight: Optional[Tensor] = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return (loss, masked-LM loss, next-sentence loss) from what `BertForPreTraining` returns and a batch's labels.

        `slice_weight` [1] is Σ w over all micro-batches, needed where there are several.
        """
        weights = weights_BP.reshape(-1)
        masked_lm_loss = self.cross_entropy(scores, bias, labels_BP.reshape(-1), weights)[0][0]
        if self.sum_over_ranks is not None or slice_weight is not None:
            own = weights.sum().reshape(1)
            total = own if slice_weight is None else slice_weight
            if self.sum_over_ranks is not None:
                total = self.sum_over_ranks(total)
            share = ((own + 1e-5) / (total + 1e-5))[0]
            masked_lm_loss = masked_lm_loss * (share if slice_weight is None else self.parts * share)
        next_sentence_loss = negative_log_likelihood(sentence, sentence_labels).mean() / self.ranks
        return masked_lm_loss + next_sentence_loss, masked_lm_loss, next_sentence_loss


def dropout_seed(seed: int, step: int, rank: int = 0) -> Tensor:
    """The random-number key of one step: (seed low, seed high, step, rank). A rank's batch is the slice of that number of the global one,
    and drops the elements that one process would drop in these rows. So does a micro-batch: micro-batch i of n is slice rank·n + i.
    """
    return Tensor(np.array([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, step, rank], np.uint32).astype(np.int32))


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """−log softmax(logits)[label] per row."""
    return -ops.gather_elements(ops.log_softmax(logits, -1), 1, labels.reshape(-1, 1)).reshape(-1)


def initialise(model: nn.Cell, deviation: float, seed: int) -> None:
    """Give every parameter its `initial_value`."""
    for parameter in model.get_parameters():
        parameter.set_data(Tensor(initial_value(parameter.name, parameter.shape, deviation, seed)))


def _zeros(*shape: int) -> Parameter:
    return Parameter(np.zeros(shape, np.float32))
