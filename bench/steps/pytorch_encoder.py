"""The network of bert_thor/model.py in PyTorch, written for speed: one projection for query, key and value, scores only for
the masked tokens, PyTorch's own fused operators."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

DROPOUT, EPSILON, DEVIATION = 0.1, 1e-12, 0.02


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each followed by dropout, residual sum and layer normalisation."""

    def __init__(self, hidden: int, heads: int, feed_forward: int, fused_attention: bool) -> None:
        super().__init__()
        self.heads, self.fused_attention = heads, fused_attention
        self.qkv, self.attention_output = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.intermediate, self.output = nn.Linear(hidden, feed_forward), nn.Linear(feed_forward, hidden)
        self.attention_norm, self.output_norm = (nn.LayerNorm(hidden, EPSILON) for _ in range(2))

    def attention(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, length, hidden = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
        if self.fused_attention:
            mixed = F.scaled_dot_product_attention(q, k, v, mask, DROPOUT)
        else:
            scores = torch.baddbmm(
                mask.expand(batch, self.heads, 1, length).reshape(-1, 1, length),
                q.reshape(-1, length, q.shape[-1]),
                k.reshape(-1, length, q.shape[-1]).transpose(1, 2),
                alpha=q.shape[-1] ** -0.5,
            )
            weights = F.dropout(F.softmax(scores, -1), DROPOUT)
            mixed = torch.bmm(weights, v.reshape(-1, length, q.shape[-1])).view(batch, self.heads, length, -1)
        return mixed.transpose(1, 2).reshape(batch, length, hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention_norm(x + F.dropout(self.attention_output(self.attention(x, mask)), DROPOUT))
        return self.output_norm(x + F.dropout(self.output(F.gelu(self.intermediate(x))), DROPOUT))


class BertForPreTraining(nn.Module):
    """Embedding, encoder, both heads; returns the loss."""

    def __init__(
        self, vocabulary: int, hidden: int, layers: int, heads: int, feed_forward: int, length: int, fused: bool
    ) -> None:
        super().__init__()
        self.tokens, self.positions, self.segments = (nn.Embedding(n, hidden) for n in (vocabulary, length, 2))
        self.norm, self.transform_norm = (nn.LayerNorm(hidden, EPSILON) for _ in range(2))
        self.layers = nn.ModuleList(EncoderLayer(hidden, heads, feed_forward, fused) for _ in range(layers))
        self.transform, self.pooler = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.next_sentence = nn.Linear(hidden, 2)
        self.decoder_bias = nn.Parameter(torch.zeros(vocabulary))
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.trunc_normal_(parameter, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        segments: Tensor,
        positions: Tensor,
        labels: Tensor,
        weights: Tensor,
        next_: Tensor,
    ) -> Tensor:
        batch, length = ids.shape
        x = self.tokens(ids) + self.segments(segments) + self.positions(torch.arange(length))
        x = F.dropout(self.norm(x), DROPOUT)
        added = (1.0 - mask.float())[:, None, None, :] * -10000.0
        for layer in self.layers:
            x = layer(x, added)
        masked = x.reshape(batch * length, -1)[(positions + length * torch.arange(batch)[:, None]).reshape(-1)]
        masked = self.transform_norm(F.gelu(self.transform(masked)))
        scores = F.linear(masked, self.tokens.weight, self.decoder_bias)
        losses = F.cross_entropy(scores, labels.reshape(-1), reduction="none")
        masked_lm_loss = (losses * weights.reshape(-1)).sum() / (weights.sum() + 1e-5)
        sentence = self.next_sentence(torch.tanh(self.pooler(x[:, 0])))
        return masked_lm_loss + F.cross_entropy(sentence, next_)
