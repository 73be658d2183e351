"""BERT for pretraining in float64 NumPy, forward and backward written out by hand: an independent path to gradients and factors.

Letters: B sequences, S positions, H hidden size, P masked positions, N rows, K heads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import erf

Array = Any
EPS = 1e-12


class Pass(NamedTuple):
    """Loss, gradient by parameter name, and for each weight or table its inputs' rows (ids for a table) and output gradients."""

    loss: float
    gradients: dict[str, Array]
    inputs: dict[str, Array]
    output_gradients: dict[str, Array]


class Float64Bert:
    """One forward and backward pass with the parameters `weights` (by name) of a network with `heads` heads."""

    def __init__(self, weights: dict[str, Array], heads: int) -> None:
        self.w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
        self.heads = heads
        self.layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("bert.layers."))
        self.x: dict[str, Array] = {}
        self.d: dict[str, Array] = {}
        self.g: dict[str, Array] = {}

    def run(self, batch: tuple[Array, ...]) -> Pass:
        ids, mask, segments, positions, labels, label_weights, sentence = (np.asarray(column) for column in batch)
        count, length = ids.shape
        embedded = self._embed(ids, segments)
        added = ((1.0 - mask) * -10000.0)[:, None, None, :]
        caches = []
        rows, norm = self._norm(embedded, "bert.embedding.norm")
        for index in range(self.layers):
            rows, cache = self._layer(rows, added, f"bert.layers.{index}")
            caches.append(cache)
        starts = np.arange(count) * length
        chosen = (positions + starts[:, None]).reshape(-1)
        loss, d_masked = self._masked_lm(rows[chosen], labels.reshape(-1), label_weights.reshape(-1).astype(np.float64))
        sentence_loss, d_first = self._next_sentence(rows[starts], sentence)
        d_rows = np.zeros_like(rows)
        np.add.at(d_rows, chosen, d_masked)
        np.add.at(d_rows, starts, d_first)
        for index in reversed(range(self.layers)):
            d_rows = self._layer_back(d_rows, caches[index], f"bert.layers.{index}")
        self._embed_back(self._norm_back(d_rows, norm, "bert.embedding.norm"), count, length)
        return Pass(loss + sentence_loss, self.g, self.x, self.d)

    def _embed(self, ids: Array, segments: Array) -> Array:
        length = ids.shape[1]
        self.ids = {"token": ids.reshape(-1), "segment": segments.reshape(-1), "position": np.arange(length)}
        tables = {kind: self.w[f"bert.embedding.{kind}_table"][chosen] for kind, chosen in self.ids.items()}
        return tables["token"] + tables["segment"] + np.tile(tables["position"], (len(ids), 1))

    def _embed_back(self, d: Array, count: int, length: int) -> None:
        gradients = {"token": d, "segment": d, "position": d.reshape(count, length, -1).sum(0)}
        for kind, gradient in gradients.items():
            name = f"bert.embedding.{kind}_table"
            table = np.zeros_like(self.w[name])
            np.add.at(table, self.ids[kind], gradient)
            self.g[name] = self.g.get(name, 0.0) + table
            self.x[name], self.d[name] = self.ids[kind], gradient

    def _dense(self, x: Array, name: str) -> Array:
        self.x[f"{name}.weight"] = x
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def _dense_back(self, d: Array, name: str) -> Array:
        weight = f"{name}.weight"
        self.d[weight] = d
        self.g[weight], self.g[f"{name}.bias"] = d.T @ self.x[weight], d.sum(0)
        return d @ self.w[weight]

    def _norm(self, x: Array, name: str) -> tuple[Array, Any]:
        rstd = 1.0 / np.sqrt(x.var(1, keepdims=True) + EPS)
        normal = (x - x.mean(1, keepdims=True)) * rstd
        return normal * self.w[f"{name}.gamma"] + self.w[f"{name}.beta"], (normal, rstd)

    def _norm_back(self, d: Array, cache: Any, name: str) -> Array:
        normal, rstd = cache
        self.g[f"{name}.gamma"], self.g[f"{name}.beta"] = (d * normal).sum(0), d.sum(0)
        d = d * self.w[f"{name}.gamma"]
        return rstd * (d - d.mean(1, keepdims=True) - normal * (d * normal).mean(1, keepdims=True))

    def _layer(self, x: Array, added: Array, name: str) -> tuple[Array, Any]:
        mixed, attention = self._attention(x, added, name)
        middle, norm1 = self._norm(x + self._dense(mixed, f"{name}.attention_output"), f"{name}.attention_norm")
        inner = self._dense(middle, f"{name}.intermediate")
        out, norm2 = self._norm(middle + self._dense(gelu(inner), f"{name}.output"), f"{name}.output_norm")
        return out, (attention, norm1, inner, norm2)

    def _layer_back(self, d: Array, cache: Any, name: str) -> Array:
        attention, norm1, inner, norm2 = cache
        d = self._norm_back(d, norm2, f"{name}.output_norm")
        d_inner = self._dense_back(d, f"{name}.output") * gelu_slope(inner)
        d = self._norm_back(d + self._dense_back(d_inner, f"{name}.intermediate"), norm1, f"{name}.attention_norm")
        return d + self._attention_back(self._dense_back(d, f"{name}.attention_output"), attention, name)

    def _attention(self, x: Array, added: Array, name: str) -> tuple[Array, Any]:
        count, length = added.shape[0], added.shape[3]
        packed = self._dense(x, f"{name}.attention.qkv").reshape(count, length, 3, self.heads, -1)
        q, k, v = packed.transpose(2, 0, 3, 1, 4)
        p = softmax(q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]) + added)
        return (p @ v).transpose(0, 2, 1, 3).reshape(len(x), -1), (q, k, v, p)

    def _attention_back(self, d: Array, cache: Any, name: str) -> Array:
        q, k, v, p = cache
        count, heads, length, size = q.shape
        d = d.reshape(count, length, heads, size).transpose(0, 2, 1, 3)
        dp = d @ v.swapaxes(2, 3)
        ds = p * (dp - (dp * p).sum(-1, keepdims=True)) / np.sqrt(size)
        packed = np.stack([ds @ k, ds.swapaxes(2, 3) @ q, p.swapaxes(2, 3) @ d])
        rows = packed.transpose(1, 3, 0, 2, 4).reshape(count * length, -1)
        return self._dense_back(rows, f"{name}.attention.qkv")

    def _masked_lm(self, x: Array, labels: Array, weights: Array) -> tuple[float, Array]:
        inner = self._dense(x, "transform")
        h, norm = self._norm(gelu(inner), "transform_norm")
        table = self.w["bert.embedding.token_table"]
        p = softmax(h @ table.T + self.w["decoder_bias"])
        share = weights / (weights.sum() + 1e-5)
        d = p * share[:, None]
        d[np.arange(len(d)), labels] -= share
        self.g["decoder_bias"], self.g["bert.embedding.token_table"] = d.sum(0), d.T @ h
        back = self._norm_back(d @ table, norm, "transform_norm") * gelu_slope(inner)
        loss = -(np.log(p[np.arange(len(p)), labels]) * share).sum()
        return loss, self._dense_back(back, "transform")

    def _next_sentence(self, x: Array, labels: Array) -> tuple[float, Array]:
        pooled = np.tanh(self._dense(x, "pooler"))
        p = softmax(self._dense(pooled, "next_sentence"))
        d = p / len(p)
        d[np.arange(len(p)), labels] -= 1.0 / len(p)
        d = self._dense_back(d, "next_sentence") * (1.0 - pooled**2)
        return -np.log(p[np.arange(len(p)), labels]).mean(), self._dense_back(d, "pooler")


def gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def gelu_slope(x: Array) -> Array:
    return 0.5 * (1.0 + erf(x / np.sqrt(2.0))) + x * np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
