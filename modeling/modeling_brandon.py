"""Brandon-Tiny in PyTorch, read from top to bottom: norm, linear, rotary, attention, feed-forward, block, model, heads.

Shapes: B sequences of T tokens, R registers, H query heads, K key-value heads of size d, D hidden units, V tokens.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn import functional
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation.utils import GenerationMixin
from transformers.modeling_layers import GenericForSequenceClassification, GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.utils.generic import can_return_tuple

from .attention_brandon import attend_in_blocks, attend_one_row, eager_attention, in_compiled_step
from .configuration_brandon import BrandonConfig
from .conversion_brandon import (
    convert_original_state_dict,
    is_original_state_dict,
    load_original_pt,
    original_config_to_native,
    read_safetensors,
    read_tensor_names,
)
from .generation_brandon import mtp_decoding


@dataclass
class BrandonCausalLMOutput(CausalLMOutputWithPast):
    """`CausalLMOutputWithPast` with the logits of the multi-token-prediction heads.

    Args:
        mtp_logits: One (B, T, V) tensor per head; head k predicts the token k + 2 places ahead. `None` unless
            asked for.
    """

    mtp_logits: tuple[torch.Tensor, ...] | None = None


class BrandonRMSNorm(nn.Module):
    """Root-mean-square norm (arXiv:1910.07467), computed in float32."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        wide = hidden.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(hidden.dtype)


class BrandonLinear(nn.Linear):
    """A linear layer without bias that compiled decoding on a CPU can fuse.

    One row times a matrix is bound by reading the matrix. Written as products and sums it becomes part of the
    compiler's own kernels, on all threads; the library call it replaces runs on one.

    Args:
        writes_residual: Its output is added to the residual stream, for which it starts smaller.
    """

    def __init__(self, in_features: int, out_features: int, writes_residual: bool = False):
        super().__init__(in_features, out_features, bias=False)
        self.writes_residual = writes_residual

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.apply_weight(inputs, self.weight)

    @staticmethod
    def apply_weight(inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """(..., in_features) times the transposed (out_features, in_features) weight."""
        if in_compiled_step(inputs) and inputs.numel() == weight.shape[1]:
            return (weight * inputs.reshape(1, -1)).sum(dim=-1).view(*inputs.shape[:-1], -1)
        return functional.linear(inputs, weight)


class TernaryLinear(BrandonLinear):
    """A linear layer that uses its weight rounded to {-1, 0, 1} times its mean absolute value (arXiv:2402.17764).

    Gradients pass straight through the rounding.

    Args:
        parts: Row counts of the matrices stacked in the weight; each has a scale of its own.
    """

    def __init__(self, in_features: int, parts: tuple[int, ...], writes_residual: bool = False):
        super().__init__(in_features, sum(parts), writes_residual)
        self.parts = parts

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.apply_weight(inputs, self.quantized_weight())

    def quantized_weight(self) -> torch.Tensor:
        """The weight as the layer uses it, (out_features, in_features); differentiable by the identity."""
        rounded = []
        for part in self.weight.detach().split(self.parts):
            scale = part.abs().mean() + 1e-8
            rounded.append((part / scale).round().clamp(-1, 1) * scale)
        return torch.cat(rounded) + (self.weight - self.weight.detach())


def _linear(config: BrandonConfig, in_features: int, *parts: int, writes_residual: bool = False) -> BrandonLinear:
    """One matrix for several outputs of the same input."""
    if config.ternary_weights:
        return TernaryLinear(in_features, parts, writes_residual)
    return BrandonLinear(in_features, sum(parts), writes_residual)


def rotary_embedding(config: BrandonConfig, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the rotation angles, each (B or 1, 1, T, d / 2) in float32 (arXiv:2104.09864)."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=positions.device) / config.head_dim
    angles = positions[:, None, :, None].float() * config.rope_theta**-exponents
    return angles.cos(), angles.sin()


def rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (k, k + d/2) of each head. (B, heads, T, d) -> the same shape, in float32 at least."""
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


@dataclass
class LayerContext:
    """What every layer of one forward pass shares.

    Args:
        rotary: Cosines and sines, each (B or 1, 1, rows, d / 2).
        mask: `None` for causal (or a single row that sees everything), else what the implementation takes.
        aligned: Row i stands for key i and sees none after it.
        implementation: Name of the attention implementation.
        past_key_values: Cache of the tokens; it carries the registers' keys and values as `register_states`.
        num_prepended: Number of register rows before the tokens: R or 0.
        value_weights: (L, 2) weights of own and first values, if they are learned.
        attention_kwargs: Further arguments of the attention implementation.
    """

    rotary: tuple[torch.Tensor, torch.Tensor]
    mask: torch.Tensor | None
    aligned: bool
    implementation: str
    past_key_values: Any
    num_prepended: int
    value_weights: torch.Tensor | None
    attention_kwargs: dict[str, Any]


class BrandonAttention(nn.Module):
    """Grouped-query self-attention with registers, value residual and an optional output gate.

    One matrix computes query, key, value (and the gate): at this size the number of kernels sets the speed.
    """

    is_causal = True

    def __init__(self, config: BrandonConfig):
        super().__init__()
        self.config = config
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        self.num_key_value_groups = self.heads // self.kv_heads
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        gate = [self.heads] if config.attention_output_gate else []
        self.qkv_proj = _linear(config, config.hidden_size, query, key, key, *gate)
        self.o_proj = _linear(config, query, config.hidden_size, writes_residual=True)
        if config.qk_norm:
            self.q_norm = BrandonRMSNorm(self.head_dim, config.rms_norm_eps)
            self.k_norm = BrandonRMSNorm(self.head_dim, config.rms_norm_eps)

    def forward(
        self,
        hidden: torch.Tensor,
        first_value: torch.Tensor | None,
        context: LayerContext,
        layer_idx: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """(B, R + T or T, D) to the attention output of the same shape, the raw values and the weights if asked for.

        `first_value` are the raw values of the first layer, (B, K, R + T or T, d), to be added to this layer's.
        """
        batch, length, _ = hidden.shape
        projected = self.qkv_proj(hidden)
        qkv_size = (self.heads + 2 * self.kv_heads) * self.head_dim
        heads = projected[..., :qkv_size] if self.config.attention_output_gate else projected
        heads = heads.view(batch, length, -1, self.head_dim).transpose(1, 2)
        query_key, raw_value = heads.split([self.heads + self.kv_heads, self.kv_heads], dim=1)
        if self.config.qk_norm:
            query, key = query_key.split([self.heads, self.kv_heads], dim=1)
            query_key = torch.cat([self.q_norm(query), self.k_norm(key)], dim=1)
        rotated = rotate(query_key, *context.rotary).to(raw_value.dtype)  # autocast norms in float32
        query, key = rotated.split([self.heads, self.kv_heads], dim=1)

        value = raw_value
        if first_value is not None:
            if context.value_weights is None:
                value = raw_value + first_value
            else:
                weights = context.value_weights[layer_idx].to(raw_value.dtype)
                value = weights[0] * raw_value + weights[1] * first_value

        registers = None
        cache = context.past_key_values
        if cache is not None:
            if context.num_prepended:
                rows = context.num_prepended
                registers = (key[:1, :, :rows].contiguous(), value[:1, :, :rows].contiguous())
                cache.register_states.append(registers)
                key, value = key[:, :, rows:], value[:, :, rows:]
            elif self.config.num_registers:
                registers = cache.register_states[layer_idx]
            key, value = cache.update(key, value, layer_idx)

        attended, attention = self._attend(query, key, value, registers, context)
        if self.config.attention_output_gate:
            attended = attended * torch.sigmoid(projected[..., qkv_size:, None])
        return self.o_proj(attended.reshape(batch, length, -1)), raw_value, attention

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        registers: tuple[torch.Tensor, torch.Tensor] | None,
        context: LayerContext,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attention output (B, rows, H, d) and, where the implementation gives them, the weights."""
        scaling = self.head_dim**-0.5
        dropout = self.config.dropout if self.training else 0.0
        on_cpu = context.implementation == "sdpa" and query.device.type == "cpu"
        if on_cpu and query.shape[2] == 1:
            return attend_one_row(query * scaling, key, value, registers, context.mask), None
        if registers is not None:
            key = torch.cat([registers[0].expand(key.shape[0], -1, -1, -1), key], dim=2)
            value = torch.cat([registers[1].expand(value.shape[0], -1, -1, -1), value], dim=2)
        if on_cpu and (not torch.compiler.is_compiling() or torch.is_grad_enabled()):
            return attend_in_blocks(query * scaling, key, value, context.mask, dropout, context.aligned), None
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(context.implementation, eager_attention)
        return attend(
            self, query, key, value, context.mask, dropout=dropout, scaling=scaling, **context.attention_kwargs
        )


class BrandonMLP(nn.Module):
    """SwiGLU (arXiv:2002.05202) or squared-ReLU (arXiv:2109.08668) feed-forward network. (..., D) -> (..., D)."""

    def __init__(self, config: BrandonConfig):
        super().__init__()
        width, hidden = config.hidden_size, config.intermediate_size
        self.config = config
        self.gated = config.mlp_type == "swiglu"
        if self.gated:
            self.gate_up_proj = _linear(config, width, hidden, hidden)
        else:
            self.up_proj = _linear(config, width, hidden)
        self.down_proj = _linear(config, hidden, width, writes_residual=True)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.gated:
            gate, up = self.gate_up_proj(hidden).chunk(2, dim=-1)
            inner = functional.silu(gate) * up
        else:
            inner = functional.relu(self.up_proj(hidden)).square()
        return functional.dropout(self.down_proj(inner), self.config.dropout, self.training)


class BrandonBlock(GradientCheckpointingLayer):
    """Attention and feed-forward network, each after a norm and inside a residual connection."""

    def __init__(self, config: BrandonConfig):
        super().__init__()
        self.attention_norm = BrandonRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = BrandonAttention(config)
        self.mlp_norm = BrandonRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = BrandonMLP(config)

    def forward(
        self, hidden: torch.Tensor, first_value: torch.Tensor | None, context: LayerContext, layer_idx: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """See `BrandonAttention.forward`."""
        attended, value, weights = self.attention(self.attention_norm(hidden), first_value, context, layer_idx)
        hidden = hidden + attended
        return hidden + self.mlp(self.mlp_norm(hidden)), value, weights


class DepthWeightedAverage(nn.Module):
    """DenseFormer's average over depth (arXiv:2402.02622, equation 2), starting as the identity."""

    def __init__(self, layers: int):
        super().__init__()
        self.weight = nn.Parameter(self.identity(layers, layers + 1))

    @staticmethod
    def identity(rows: int, columns: int) -> torch.Tensor:
        """Weights that keep each layer's own output."""
        return torch.eye(rows, columns).roll(1, dims=1)

    def forward(self, states: list[torch.Tensor], layer: int) -> torch.Tensor:
        """Average the embeddings and the outputs of layers 0 to `layer`: `layer + 2` states, each (B, T, D)."""
        weights = self.weight[layer].to(states[0].dtype)
        if states[0].shape[1] == 1 and not torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return torch.tensordot(weights[: layer + 2], torch.stack(states), dims=1)
        average = states[0] * weights[0]
        for state, weight in zip(states[1:], weights[1:], strict=False):
            average = torch.addcmul(average, state, weight)
        return average


def visible_keys(
    queries: int,
    keys: int,
    offset: int | torch.Tensor,
    padding: torch.Tensor | None,
    documents: torch.Tensor | None,
    device: torch.device,
) -> torch.Tensor:
    """Which keys each query may see: itself and earlier ones that are no padding and of the same document.

    Args:
        queries: Number T of queries.
        keys: Number N of keys, the queries' own included.
        offset: Index of the first query among the keys.
        padding: (B, tokens so far), 0 where a token is padding.
        documents: (B or 1, T), an integer per document; only when there is no past.
        device: Where to build the mask.

    Returns:
        A boolean tensor (B or 1, 1, T, N).
    """
    columns = torch.arange(keys, device=device)
    visible = (columns <= torch.arange(queries, device=device)[:, None] + offset)[None, None]
    if padding is not None:
        padding = padding.to(device=device, dtype=torch.bool)
        visible = visible & functional.pad(padding, (0, keys - padding.shape[1]))[:, None, None]
    if documents is not None:
        visible = visible & (documents[:, None, :, None] == documents[:, None, None, :])
    return visible


def _as_taken_by(implementation: str, visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A boolean mask as `sdpa` takes it, or additive for what adds it to the scores."""
    if implementation == "sdpa" and not in_compiled_step(visible, gradients=True):
        return visible
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill(~visible, torch.finfo(dtype).min)


def document_indices(position_ids: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor | None:
    """Number the documents of packed rows: one starts where a position does not follow the one before it.

    Args:
        position_ids: (B or 1, T).
        padding: (B, T), 0 where a token is padding, or `None`. Positions of padding start no document.

    Returns:
        (B or 1, T) integers, or `None` if every row holds one document. While a graph is being traced the answer is
        unknown and the integers are returned.
    """
    starts = position_ids[:, 1:] != position_ids[:, :-1] + 1
    if padding is not None and padding.dim() == 2 and padding.shape[1] >= position_ids.shape[1]:
        real = padding[:, -position_ids.shape[1] :].to(device=position_ids.device, dtype=torch.bool)
        columns = torch.arange(real.shape[1], device=real.device)
        last = torch.where(real, columns, -1).cummax(dim=1).values[:, :-1]  # the last real token before each
        before = position_ids.expand(len(real), -1).gather(1, last.clamp(min=0))
        starts = real[:, 1:] & (last >= 0) & (position_ids[:, 1:] != before + 1)
    if not torch.compiler.is_compiling() and not bool(starts.any()):
        return None
    return functional.pad(starts, (1, 0)).cumsum(dim=1)


class BrandonPreTrainedModel(PreTrainedModel):
    """Initialisation and loading of all Brandon classes."""

    config: BrandonConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["BrandonModel"]  # at most 110M parameters: never worth splitting over devices
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _heads = ("lm_head.", "mtp_heads.", "score.")

    def _init_weights(self, module: nn.Module) -> None:
        """Standard deviation 1 / sqrt(fan-in); matrices that write to the residual stream are divided by sqrt(2 L)."""
        if isinstance(module, nn.Linear):
            depth = 2 * self.config.num_hidden_layers if getattr(module, "writes_residual", False) else 1
            init.normal_(module.weight, std=(module.weight.shape[1] * depth) ** -0.5)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)
        elif isinstance(module, BrandonRMSNorm):
            init.ones_(module.weight)
        elif isinstance(module, DepthWeightedAverage):
            init.copy_(module.weight, module.identity(*module.weight.shape))
        elif isinstance(module, BrandonModel):
            for parameter in (module.registers, module.step_embeddings):
                if parameter is not None:
                    init.normal_(parameter, std=0.02)
            if module.resonance_gate is not None:
                init.zeros_(module.resonance_gate)
            if module.value_weights is not None:
                init.ones_(module.value_weights)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, for native and original folders and original `.pt` files, but strict.

        Raises:
            ValueError: A tensor is missing, unexpected or mis-shaped, tied matrices differ, or a file is truncated; the
                message names it. Only a task head that the checkpoint never had may be missing, only heads of another
                task may be left over, and with `ignore_mismatched_sizes=True` only heads may differ in shape.
        """
        source = pretrained_model_name_or_path
        wants_info, resizes_heads = (kwargs.pop(k, False) for k in ("output_loading_info", "ignore_mismatched_sizes"))
        if source is not None and os.path.isfile(source) and str(source).endswith(".pt"):
            fields, kwargs["state_dict"] = load_original_pt(source)
            if kwargs.get("config") is None:
                kwargs["config"] = BrandonConfig.from_dict(original_config_to_native(fields, kwargs["state_dict"]))
            source = None
        elif source is not None and os.path.isdir(source) and not kwargs.get("variant"):
            read_tensor_names(Path(source, kwargs.get("subfolder") or ""))  # damaged files fail before any work
        try:
            loaded: Any = super().from_pretrained(
                source, *args, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
            )
        except SafetensorError as error:
            raise ValueError(f"{source} is not a complete safetensors file: {error}") from error
        model, info = loaded
        model._check_loading(info, pretrained_model_name_or_path, resizes_heads, kwargs)
        return (model, info) if wants_info else model

    def _check_loading(self, info: dict[str, Any], source: Any, resizes_heads: bool, kwargs: dict[str, Any]) -> None:
        names = set(self.state_dict())
        for key, stored, wanted in sorted(info["mismatched_keys"]):
            if not (resizes_heads and key.startswith(self._heads)):
                raise ValueError(
                    f"{source}: tensor {key!r} has shape {tuple(stored)}, the config wants {tuple(wanted)}"
                )
        missing = set(info["missing_keys"])
        new, foreign = [], [head for head in self._heads if not any(name.startswith(head) for name in names)]
        if not {base.__name__ for base in type(self).__mro__} & set(self.config.architectures or ()):
            new = [head for head in self._heads if {name for name in names if name.startswith(head)} <= missing]
        elif hasattr(self, "mtp_heads"):
            heads = self.config.num_mtp_heads
            stored_heads = self._stored_mtp_heads(source, kwargs) if {*missing, *info["unexpected_keys"]} else heads
            new = [f"mtp_heads.{head}." for head in range(stored_heads, heads)]
            foreign = [f"mtp_heads.{head}." for head in range(heads, stored_heads)]
        for word, keys, allowed in (
            ("lacks", missing, new),
            ("holds the unexpected", info["unexpected_keys"], foreign),
        ):
            bad = sorted(key for key in keys if not key.startswith(tuple(allowed)))
            if bad:
                raise ValueError(
                    f"{source} {word} tensor {bad[0]!r}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
                )

    def _stored_mtp_heads(self, source: Any, kwargs: dict[str, Any]) -> int:
        """How many heads the checkpoint's own config states, whatever this model's says."""
        where = {key: kwargs[key] for key in ("cache_dir", "revision", "subfolder", "token") if kwargs.get(key)}
        try:
            stored, _ = BrandonConfig.get_config_dict(source, **where)
        except OSError:  # a state dict was given
            return self.config.num_mtp_heads
        return stored.get("num_mtp_heads", 0)

    @staticmethod
    def _load_pretrained_model(
        model: Any, state_dict: Any, checkpoint_files: Any, load_config: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Let transformers load, after translating tensors in the original's layout."""
        source = load_config.pretrained_model_name_or_path
        tensors, tied = state_dict or {}, ("model.embed_tokens.weight", "lm_head.weight")
        if state_dict is None and checkpoint_files and str(checkpoint_files[0]).endswith(".safetensors"):
            names = {name for file in checkpoint_files for name in safe_open(file, framework="pt").keys()}  # noqa: SIM118
            if is_original_state_dict(names):
                state_dict = read_safetensors(checkpoint_files)
            elif model.config.tie_word_embeddings and names.issuperset(tied):
                tensors = read_safetensors(checkpoint_files, tied)
        if state_dict is not None and is_original_state_dict(state_dict):
            if "disk" in (load_config.device_map or {}).values():
                raise ValueError(
                    f"{source} cannot be offloaded to disk in the original layout: `brandon import` it first"
                )
            try:
                state_dict = convert_original_state_dict(state_dict, model.config)
            except ValueError as error:
                raise ValueError(f"{source}: {error}") from None
            checkpoint_files = None
        elif model.config.tie_word_embeddings and all(name in tensors for name in tied):
            embeddings, head = (tensors[name] for name in tied)
            if not torch.equal(embeddings, head):
                raise ValueError(f"{source}: tensor {tied[1]!r} differs from {tied[0]!r}, but the config ties them")
        return PreTrainedModel._load_pretrained_model(model, state_dict, checkpoint_files, load_config, *args, **kwargs)


class BrandonModel(BrandonPreTrainedModel):
    """The stack of blocks between the embeddings and the final norm.

    Registers are rows prepended before layer 0 at positions 0 to R - 1; tokens start at position R. What the registers
    compute depends on the weights alone, so a cache stores the tokens' keys and values only and the registers' beside
    them, once per layer, in `past_key_values.register_states`. They are computed anew whenever a cache starts empty.
    """

    def __init__(self, config: BrandonConfig):
        super().__init__(config)
        config.check()
        width, loops = config.hidden_size, config.num_loops
        self.embed_tokens = nn.Embedding(config.vocab_size, width)
        self.blocks = nn.ModuleList(BrandonBlock(config) for _ in range(config.num_unique_blocks))
        self.norm = BrandonRMSNorm(width, config.rms_norm_eps)
        self.dwa = DepthWeightedAverage(config.layers_per_loop) if config.depth_weighted_average else None
        self.feedback_norm = BrandonRMSNorm(width, config.rms_norm_eps) if config.loop_feedback else None
        self.registers = _parameter(config.num_registers, width) if config.num_registers else None
        self.step_embeddings = _parameter(loops, width) if config.step_embedding else None
        self.resonance_gate = _parameter(width) if config.resonance_gate else None
        learned = config.value_residual == "learned"
        self.value_weights = _parameter(config.num_hidden_layers, 2) if learned else None
        self.gradient_checkpointing = False
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states of the tokens, (B, T, D), after the final norm and without registers.

        Args:
            input_ids: (B, T) token ids; or give `inputs_embeds`, (B, T, D).
            attention_mask: (B, tokens so far) with 0 at padding; or (B or 1, 1, T, keys), boolean or additive, over
                tokens alone. Registers are always visible.
            position_ids: (B or 1, T) positions of the tokens in their text, from 0. Where they do not increase by one a
                new document starts, which sees nothing of the one before. Default: counted from `attention_mask`.
            past_key_values: Cache of earlier tokens; it is extended in place.
            use_cache: Return a cache. Default: the config's, but not while training nor for packed documents (while
                compiling: not if `position_ids` are given without a cache).
            output_hidden_states: Also return the embeddings and the state after each layer, L + 1 tensors (B, T, D),
                the last one after the final norm.
            output_attentions: Also return L tensors (B, H, T, keys), computed by eager attention. The weight on
                registers is what a row lacks to 1.

        Raises:
            ValueError: Not exactly one of `input_ids` and `inputs_embeds` is given, the text is longer than the
                context, an id lies outside the vocabulary, or packed documents meet a mode that cannot keep them apart.
        """
        config = self.config
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        embeddings = self._embed(input_ids) if inputs_embeds is None else inputs_embeds
        length, device = embeddings.shape[1], embeddings.device
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        keep_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        implementation = "eager" if output_attentions else config._attn_implementation

        eager = not torch.compiler.is_compiling()
        cache: Any = past_key_values
        past_length = 0 if cache is None else cache.get_seq_length()
        covered = attention_mask.shape[1] if attention_mask is not None and attention_mask.dim() == 2 else None
        if covered is not None and isinstance(past_length, int) and covered != past_length + length:
            raise ValueError(f"attention_mask covers {covered} tokens, not {past_length} cached and {length} new ones")
        documents = None
        if position_ids is None:
            position_ids = _positions(attention_mask, length, past_length, device)
        elif length > 1 and (attention_mask is None or attention_mask.dim() == 2):
            documents = document_indices(position_ids, attention_mask)
            if cache is not None and not eager and documents is not None:  # unknown until the graph runs
                torch._assert_async(documents[:, -1:].eq(0).all(), _PACKED_CACHE)
                documents = None
        longest = length
        if documents is not None:  # a packed row may be longer than the context, its documents may not
            longest = int(position_ids.max()) + 1 if eager else 0
        if longest > config.max_position_embeddings:
            raise ValueError(
                f"a text of {longest} tokens is longer than the context, "
                f"max_position_embeddings={config.max_position_embeddings}"
            )
        if documents is not None and eager:
            if use_cache or cache is not None:
                raise ValueError(_PACKED_CACHE)
            use_cache = False
        if use_cache is None:
            use_cache = config.use_cache and not self.training and documents is None
        if self.gradient_checkpointing and self.training:  # layers run twice, which a cache does not survive
            if cache is not None:
                raise ValueError("gradient checkpointing cannot fill past_key_values: call model.eval() to generate")
            use_cache = False
        if use_cache and cache is None:
            cache = DynamicCache(config=config)

        hidden = functional.dropout(embeddings, config.dropout, self.training)
        prepended = 0
        if self.registers is not None and _registers_are_due(cache, past_length, length):
            prepended = config.num_registers
            hidden = torch.cat([self.registers.to(hidden.dtype).expand(len(hidden), -1, -1), hidden], dim=1)
            if cache is not None:
                cache.register_states = []
        mask, aligned = self._mask(implementation, embeddings, attention_mask, documents, cache, past_length, prepended)
        context = LayerContext(
            rotary=rotary_embedding(config, self._row_positions(position_ids, prepended)),
            mask=mask,
            aligned=aligned,
            implementation=implementation,
            past_key_values=cache,
            num_prepended=prepended,
            value_weights=self.value_weights,
            attention_kwargs=self._attention_kwargs(implementation, documents, position_ids, kwargs),
        )

        hidden, states, attentions = self._apply_layers(hidden, context, bool(keep_states), bool(output_attentions))
        hidden = self.norm(hidden[:, prepended:])
        return BaseModelOutputWithPast(
            last_hidden_state=hidden,
            past_key_values=cache,
            hidden_states=(*(state[:, prepended:] for state in states[:-1]), hidden) if keep_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )

    def _apply_layers(
        self, hidden: torch.Tensor, context: LayerContext, keep_states: bool, keep_attentions: bool
    ) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """All loops over the blocks: the last state and, where they are kept, all states and attention weights."""
        config, rows = self.config, context.num_prepended
        states, attentions = [hidden], []
        first_value = None
        before = hidden
        for loop in range(config.num_loops):
            if loop and self.resonance_gate is not None and self.registers is not None and rows:
                gate = torch.sigmoid(self.resonance_gate)
                blended = gate * hidden[:, :rows] + (1 - gate) * self.registers.to(hidden.dtype)
                hidden = torch.cat([blended, hidden[:, rows:]], dim=1)
            if self.step_embeddings is not None:
                hidden = hidden + self.step_embeddings[loop]
            if loop and self.feedback_norm is not None:
                hidden = hidden + self.feedback_norm(before)
            before = hidden
            in_loop = [hidden]
            for index in range(config.layers_per_loop):
                layer = loop * config.layers_per_loop + index
                block = self.blocks[index // config.block_repeat]
                hidden, value, weights = block(hidden, first_value, context, layer)
                if first_value is None and config.value_residual != "none":
                    first_value = value
                if self.dwa is not None:
                    in_loop.append(hidden)
                    hidden = self.dwa(in_loop, index)
                if keep_states:
                    states.append(hidden)
                if keep_attentions:
                    attentions.append(weights[:, :, rows:, config.num_registers :])
        return hidden, states, attentions

    def _embed(self, input_ids: torch.Tensor | None) -> torch.Tensor:
        assert input_ids is not None
        if torch.compiler.is_compiling():
            return self.embed_tokens(input_ids)
        try:
            return self.embed_tokens(input_ids)
        except IndexError as error:
            raise ValueError(
                f"token ids from {int(input_ids.min())} to {int(input_ids.max())} do not fit the vocabulary, "
                f"vocab_size={self.config.vocab_size}: does the tokenizer belong to this model?"
            ) from error

    def _row_positions(self, position_ids: torch.Tensor, prepended: int) -> torch.Tensor:
        """Positions of all rows: registers first, tokens after the registers whether these are rows or cached."""
        positions = position_ids + self.config.num_registers
        if prepended:
            rows = torch.arange(prepended, device=positions.device)[None]
            positions = torch.cat([rows.expand(len(positions), -1), positions], dim=1)
        return positions

    def _mask(
        self,
        implementation: str,
        embeddings: torch.Tensor,
        attention_mask: torch.Tensor | None,
        documents: torch.Tensor | None,
        cache: Cache | None,
        past_length: int | torch.Tensor,
        prepended: int,
    ) -> tuple[torch.Tensor | None, bool]:
        """The mask over registers and tokens in the form the implementation takes, and `LayerContext.aligned`."""
        length, registers = embeddings.shape[1], self.config.num_registers
        if "flash" in implementation:
            if cache is not None and cache.is_compileable:
                raise ValueError(
                    f"attn_implementation={implementation!r} does not work with a static cache: use 'sdpa'"
                )
            if documents is not None and (registers or len(documents) > 1 or attention_mask is not None):
                raise ValueError(
                    f"attn_implementation={implementation!r} cannot keep packed documents apart here: use 'sdpa'"
                )
            if prepended and not (isinstance(past_length, int) and past_length == 0):
                raise ValueError(
                    f"attn_implementation={implementation!r} cannot add registers to a cache filled without them"
                )
            if attention_mask is not None and attention_mask.dim() == 2:
                attention_mask = functional.pad(attention_mask, (registers, 0), value=1)
            return attention_mask, False

        if implementation == "flex_attention" and embeddings.device.type == "cpu":
            raise ValueError("attn_implementation='flex_attention' crashes in torch's CPU kernels: use 'sdpa'")
        keys = length if cache is None else cache.get_mask_sizes(length, 0)[0]
        aligned = keys == length and prepended == registers
        if attention_mask is not None and attention_mask.dim() == 4:
            mask, aligned = attention_mask, False
            if mask.dtype != torch.bool and not mask.is_floating_point():
                raise ValueError(f"a 4-D attention_mask must be boolean or additive, not {mask.dtype}")
            if mask.dtype == torch.bool:
                mask = _as_taken_by(implementation, mask, embeddings.dtype)
        else:
            padding = attention_mask
            if padding is not None and not torch.compiler.is_compiling() and bool(padding.all()):
                padding = None
            last_row = length == 1 and not prepended and (cache is None or not cache.is_compileable)
            if implementation == "sdpa" and padding is None and documents is None and (aligned or last_row):
                return None, aligned
            visible = visible_keys(length, keys, past_length, padding, documents, embeddings.device)
            mask = _as_taken_by(implementation, visible, embeddings.dtype)
        mask = functional.pad(mask, (registers, 0), value=mask.dtype == torch.bool)
        if prepended:
            rows = visible_keys(prepended, mask.shape[-1], 0, None, None, mask.device)
            if mask.dtype != torch.bool:
                rows = _as_taken_by("eager", rows, mask.dtype)
            mask = torch.cat([rows.expand(*mask.shape[:2], -1, -1), mask], dim=2)
        if implementation == "flex_attention":  # its kernel indexes the mask by batch
            mask = mask.expand(len(embeddings), -1, -1, -1)
        return mask, aligned

    def _attention_kwargs(
        self, implementation: str, documents: torch.Tensor | None, position_ids: torch.Tensor, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """What flash attention needs to keep packed documents apart."""
        if "flash" not in implementation:
            return {}
        lengths = {name: value for name, value in kwargs.items() if name.startswith(("cu_seq_lens", "max_length"))}
        if lengths and self.config.num_registers:
            raise ValueError(
                "cu_seq_lens cannot express registers shared by all documents: use attn_implementation='sdpa'"
            )
        return lengths | ({"position_ids": position_ids} if documents is not None else {})


_PACKED_CACHE = "packed documents (position_ids that restart) cannot be cached: pass use_cache=False"


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape))


def _positions(
    attention_mask: torch.Tensor | None, length: int, past_length: int | torch.Tensor, device: torch.device
) -> torch.Tensor:
    """Positions of the new tokens, (B or 1, T): their index among the tokens that are no padding."""
    if attention_mask is not None and attention_mask.dim() == 2:
        return (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)[:, -length:].to(device)
    return (torch.arange(length, device=device) + past_length)[None]


def _registers_are_due(cache: Cache | None, past_length: int | torch.Tensor, length: int) -> bool:
    """Whether the register rows must be computed: there is no cache, it is empty, or it was filled without them."""
    if cache is None or getattr(cache, "register_states", None) is None:
        return True
    # Whether the cache was emptied is unknown in a graph: then every chunk but a step computes them.
    return length > 1 if torch.compiler.is_compiling() else int(past_length) == 0


class BrandonMTPHead(nn.Module):
    """Turns the final state of a token, (..., D), into the state that predicts a later token (arXiv:2404.19737)."""

    def __init__(self, config: BrandonConfig):
        super().__init__()
        self.proj = BrandonLinear(config.hidden_size, config.hidden_size)
        self.norm = BrandonRMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.norm(self.proj(hidden))


class BrandonForCausalLM(BrandonPreTrainedModel, GenerationMixin):
    """Brandon with a language-modelling head and, optionally, multi-token-prediction heads."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: BrandonConfig):
        super().__init__(config)
        self.model = BrandonModel(config)
        self.lm_head = BrandonLinear(config.hidden_size, config.vocab_size)
        self.mtp_heads = nn.ModuleList(BrandonMTPHead(config) for _ in range(config.num_mtp_heads))
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        output_mtp_logits: bool | None = None,
        num_mtp_losses: int | None = None,
        **kwargs: Any,
    ) -> BrandonCausalLMOutput:
        """Logits (B, T, V) and, with labels, the loss. See `BrandonModel.forward` for the arguments not listed.

        Args:
            labels: (B, T) ids, -100 where nothing is to be predicted; shifted here. For packed documents set the
                first label of each document to -100, as `DataCollatorWithFlattening` does.
            logits_to_keep: Compute the logits of this many last tokens only (0: all), or of these indices.
            output_mtp_logits: Also return the heads' logits. The loss is then the mean of the next-token loss and one
                loss per head; targets beyond a token's document do not count. Default: while training with labels.
            num_mtp_losses: Only this many heads, the nearest ones, count in the loss. Default: all.
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        hidden = outputs.last_hidden_state[:, kept]
        logits = self.lm_head(hidden)
        if output_mtp_logits is None:
            output_mtp_logits = self.training and labels is not None
        mtp_logits = None
        if output_mtp_logits and self.mtp_heads:
            mtp_logits = tuple(self.lm_head(head(hidden)) for head in self.mtp_heads)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
            counted = (mtp_logits or ())[:num_mtp_losses]
            for places, head_logits in enumerate(counted, start=1):
                ahead = _labels_ahead(labels, places, position_ids)
                count = kwargs.get("num_items_in_batch", (ahead[:, 1:] != -100).sum().clamp(min=1))
                loss = loss + self.loss_function(
                    logits=head_logits,
                    labels=ahead,
                    vocab_size=self.config.vocab_size,
                    **{**kwargs, "num_items_in_batch": count},
                )
            loss = loss / (1 + len(counted))
            for head_logits in (mtp_logits or ())[len(counted) :]:
                loss = loss + 0.0 * head_logits.sum()  # a gradient of zeros, as DDP waits for one
        return BrandonCausalLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            mtp_logits=mtp_logits,
        )

    def generate(self, *args: Any, draft_with_mtp: bool = False, **kwargs: Any) -> Any:
        """As in transformers; `draft_with_mtp=True` decodes greedily in fewer steps.

        The multi-token-prediction heads draft the tokens after the next one, and the next step verifies them: the
        tokens are those of greedy decoding. See `mtp_decoding`.

        Raises:
            ValueError: Prompt and `max_new_tokens` exceed the context, or drafting meets a model without such heads,
                sampling, beams, several prompts or a static cache.
        """
        if draft_with_mtp:
            if kwargs.get("assistant_model") is not None:
                raise ValueError("draft_with_mtp=True does not work with assistant_model")
            # Generation keeps the streamer for itself when decoding is custom.
            kwargs["custom_generate"] = partial(mtp_decoding, streamer=kwargs.get("streamer"))
        return super().generate(*args, **kwargs)  # type: ignore[misc]  # transformers types self as a protocol

    def init_continuous_batching(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: paged attention would leave the registers out and give wrong text."""
        raise ValueError("continuous batching is not supported: its paged attention has no place for registers")

    def _prepare_generated_length(
        self,
        generation_config: Any,
        has_default_max_length: bool,
        has_default_min_length: bool,
        model_input_name: str,
        input_ids_length: int,
        inputs_tensor: torch.Tensor,
    ) -> Any:
        """Refuse texts longer than the context before anything is computed."""
        generation_config = super()._prepare_generated_length(  # type: ignore[misc]  # as in generate
            generation_config,
            has_default_max_length,
            has_default_min_length,
            model_input_name,
            input_ids_length,
            inputs_tensor,
        )
        largest = -1 if inputs_tensor.is_floating_point() else int(inputs_tensor.max())
        if largest >= self.config.vocab_size:
            raise ValueError(f"token id {largest} does not fit the vocabulary, vocab_size={self.config.vocab_size}")
        prompt = max(input_ids_length, inputs_tensor.shape[1])
        new = generation_config.max_length - input_ids_length
        limit = self.config.max_position_embeddings
        if prompt + new > limit:
            room = f"at most {limit - prompt} new tokens fit" if prompt < limit else "the prompt leaves no room"
            raise ValueError(
                f"a prompt of {prompt} tokens and {new} new ones exceed the context, max_position_embeddings={limit}: "
                f"{room}"
            )
        return generation_config

    def _valid_auto_compile_criteria(self, model_kwargs: dict[str, Any], generation_config: Any) -> bool:
        """Let an explicit `compile_config` count on the CPU too, where transformers ignores it."""
        if generation_config.compile_config is not None:
            generation_config.compile_config._compile_all_devices = True
        return super()._valid_auto_compile_criteria(model_kwargs, generation_config)  # type: ignore[misc]  # as in generate

    @staticmethod
    def create_masks_for_generate(
        config: BrandonConfig,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past_key_values: Cache,
        **kwargs: Any,
    ) -> torch.Tensor | None:
        """The mask over tokens, (B or 1, 1, T, keys), that generation passes to compiled steps over static caches."""
        if (attention_mask is not None and attention_mask.dim() == 4) or "flash" in config._attn_implementation:
            return attention_mask
        length, keys = inputs_embeds.shape[1], past_key_values.get_mask_sizes(inputs_embeds.shape[1], 0)[0]
        offset = past_key_values.get_seq_length()
        visible = visible_keys(length, keys, offset, attention_mask, None, inputs_embeds.device)
        return _as_taken_by(config._attn_implementation, visible, inputs_embeds.dtype)


def _labels_ahead(labels: torch.Tensor, places: int, position_ids: torch.Tensor | None) -> torch.Tensor:
    """Labels moved left by `places`; -100 where they run out or belong to another document. (B, T) -> (B, T)."""
    moved = functional.pad(labels[:, places:], (0, places), value=-100)[:, : labels.shape[1]]
    if position_ids is None:
        return moved
    # The loss predicts a label from one place before it, places + 1 before where the label stood.
    distance = position_ids[:, places + 1 :] - position_ids[:, : -places - 1]
    same_document = functional.pad(distance == places + 1, (1, places), value=False)
    return moved.masked_fill(~same_document[:, : labels.shape[1]], -100)


class BrandonForSequenceClassification(GenericForSequenceClassification, BrandonPreTrainedModel):
    """Brandon with a classification head on the last token that is no padding."""

    def __init__(self, config: BrandonConfig):
        BrandonPreTrainedModel.__init__(self, config)
        self.num_labels = config.num_labels
        self.model = BrandonModel(config)
        self.score = nn.Linear(config.hidden_size, self.num_labels, bias=False)
        self.post_init()


__all__ = [
    "BrandonCausalLMOutput",
    "BrandonForCausalLM",
    "BrandonForSequenceClassification",
    "BrandonModel",
    "BrandonPreTrainedModel",
]
