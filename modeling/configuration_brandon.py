"""Configuration of Brandon-Tiny, an instruction-following transformer of 1M-110M parameters.

The fields use the names transformers uses everywhere. `config.json` files of the original implementation (`dim`,
`n_layers`, ...) are translated when they are loaded; see `conversion_brandon.py` for their weights.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from transformers.configuration_utils import PreTrainedConfig

from .conversion_brandon import find_tensor_names, is_original_config, original_config_to_native

_AUTO_MAP = {
    "AutoConfig": "configuration_brandon.BrandonConfig",
    "AutoModel": "modeling_brandon.BrandonModel",
    "AutoModelForCausalLM": "modeling_brandon.BrandonForCausalLM",
    "AutoModelForSequenceClassification": "modeling_brandon.BrandonForSequenceClassification",
}


class BrandonConfig(PreTrainedConfig):
    r"""Shape and options of a Brandon model. The defaults are the flagship: 10,706,776 parameters.

    Write V, D, L, H, K, d, F for vocabulary, hidden size, layers, heads, key-value heads, head size and feed-forward
    size. A block holds 2 D + D d (2 H + 2 K) + 3 D F parameters with SwiGLU.

    Args:
        vocab_size: Number of tokens V.
        hidden_size: Width D of the residual stream.
        intermediate_size: Width F of the feed-forward network.
        num_hidden_layers: Logical depth L: how many block applications a token passes, repeats and loops included.
            The key-value cache has as many layers.
        num_attention_heads: Query heads H.
        num_key_value_heads: Key and value heads K (grouped-query attention, arXiv:2305.13245); must divide H.
            `None` means H.
        head_dim: Size d of one head, an even number. `None` means D // H.
        max_position_embeddings: Longest text the model accepts, in tokens. Registers do not count.
        rope_theta: Base of the rotary position embedding (arXiv:2104.09864).
        rms_norm_eps: Epsilon of every RMSNorm.
        tie_word_embeddings: Use the embedding matrix as the output matrix. Untied costs D V parameters.
        mlp_type: `"swiglu"` (arXiv:2002.05202, three matrices) or `"relu_squared"` (arXiv:2109.08668, two matrices:
            D F parameters fewer per block).
        dropout: Probability used on embeddings, attention weights and feed-forward outputs while training.
        block_repeat: Each block is applied this many times in a row (MobileLLM, arXiv:2402.14905); 1 shares nothing.
            Saves parameters, not compute.
        depth_weighted_average: After each layer, replace the hidden state by a learned average of all states so far
            (DenseFormer, arXiv:2402.02622). With l layers per loop: l (l + 1) parameters, about l^2 / 2
            multiply-adds per hidden unit and token, and all states are kept while training.
        value_residual: `"none"`; `"add"`: the first layer's values are added to the values of every later layer
            (arXiv:2410.17897), free of parameters; `"learned"`: mixed with two learned weights per layer,
            2 L parameters (the first layer's stay unused), starting as `"add"`.
        num_registers: Learned rows before the text that every token may attend to (arXiv:2309.16588). D parameters
            each; they cost attention over that many more keys and never enter the key-value cache.
        qk_norm: RMSNorm on each query and key head before rotation (arXiv:2302.05442). 2 d parameters per block.
        attention_output_gate: Multiply each head's output by a sigmoid of a projection of the layer's input
            (arXiv:2505.06708). D H parameters per block and as many multiply-adds per token.
        num_mtp_heads: Extra heads that predict the tokens after the next one (multi-token prediction,
            arXiv:2404.19737). D^2 + D parameters each; while training each costs one more output projection.
            `generate(..., draft_with_mtp=True)` uses them to draft.
        num_loops: The stack of L / num_loops layers runs this many times; must divide L.
        step_embedding: Add a learned vector at the start of each loop: D parameters per loop. Needs loops.
        loop_feedback: Add the RMS-normalised input of the previous loop at the start of a loop: D parameters.
            Needs loops.
        resonance_gate: Between loops, blend the registers' states with the learned rows through a sigmoid gate:
            D parameters. Needs loops and registers.
        ternary_weights: Use block matrices quantised to {-1, 0, 1} times the mean of their absolute values, with
            straight-through gradients (arXiv:2402.17764). No parameters; a rounding pass over a block's weights each
            time it is applied.
        use_cache: Return the key-value cache by default when not training.

    Raises:
        ValueError: A field is out of range or two fields contradict each other; the message names both values.
    """

    model_type = "brandon-tiny"
    keys_to_ignore_at_inference = ["past_key_values", "mtp_logits"]

    vocab_size: int = 8192
    hidden_size: int = 256
    intermediate_size: int = 720
    num_hidden_layers: int = 24
    num_attention_heads: int = 8
    num_key_value_heads: Any = 2
    head_dim: Any = None
    max_position_embeddings: int = 512
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    tie_word_embeddings: bool = True
    mlp_type: str = "swiglu"
    dropout: float = 0.0
    block_repeat: int = 2
    depth_weighted_average: bool = True
    value_residual: str = "add"
    num_registers: int = 4
    qk_norm: bool = False
    attention_output_gate: bool = False
    num_mtp_heads: int = 0
    num_loops: int = 1
    step_embedding: bool = False
    loop_feedback: bool = False
    resonance_gate: bool = False
    ternary_weights: bool = False
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        rope = kwargs.pop("rope_parameters", None) or kwargs.pop("rope_scaling", None)
        if rope:
            kind = rope.get("rope_type", rope.get("type", "default"))
            if kind != "default":
                raise ValueError(
                    f"rope_type={kind!r} is not supported: Brandon models rotate by plain RoPE ('default')"
                )
            self.rope_theta = rope.get("rope_theta", self.rope_theta)
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        if self.head_dim is None:
            for name in ("hidden_size", "num_attention_heads"):
                _require_integer(name, getattr(self, name), minimum=1)
            if self.hidden_size % self.num_attention_heads:
                raise ValueError(
                    f"num_attention_heads={self.num_attention_heads} does not divide hidden_size={self.hidden_size}: "
                    "choose another number of heads or set head_dim"
                )
            self.head_dim = self.hidden_size // self.num_attention_heads
        super().__post_init__(**kwargs)
        self.auto_map = {**getattr(self, "auto_map", {}), **_AUTO_MAP}
        self.check()

    @property
    def layers_per_loop(self) -> int:
        """Layers one pass through the stack applies."""
        return self.num_hidden_layers // self.num_loops

    @property
    def num_unique_blocks(self) -> int:
        """Blocks that hold parameters of their own."""
        return -(-self.layers_per_loop // self.block_repeat)

    def check(self) -> None:
        """Raise `ValueError` naming the values if a field is out of range or two fields contradict each other."""
        for name in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "max_position_embeddings",
            "block_repeat",
            "num_loops",
        ):
            _require_integer(name, getattr(self, name), minimum=1)
        for name in ("num_registers", "num_mtp_heads"):
            _require_integer(name, getattr(self, name), minimum=0)
        for name in (
            "tie_word_embeddings",
            "depth_weighted_average",
            "qk_norm",
            "attention_output_gate",
            "step_embedding",
            "loop_feedback",
            "resonance_gate",
            "ternary_weights",
            "use_cache",
        ):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name}={getattr(self, name)!r} must be true or false")
        for name, choices in (
            ("mlp_type", ("swiglu", "relu_squared")),
            ("value_residual", ("none", "add", "learned")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r} must be one of {', '.join(map(repr, choices))}")
        for name in ("rope_theta", "rms_norm_eps"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
                raise ValueError(f"{name}={value!r} must be a positive number")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout!r} must be at least 0 and below 1")
        if self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim} must be even: RoPE rotates pairs")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads={self.num_key_value_heads} does not divide "
                f"num_attention_heads={self.num_attention_heads}"
            )
        if self.num_hidden_layers % self.num_loops:
            raise ValueError(f"num_loops={self.num_loops} does not divide num_hidden_layers={self.num_hidden_layers}")
        if self.block_repeat > self.layers_per_loop:
            raise ValueError(
                f"block_repeat={self.block_repeat} exceeds the {self.layers_per_loop} layers that one loop applies "
                f"(num_hidden_layers={self.num_hidden_layers}, num_loops={self.num_loops})"
            )
        for name in ("step_embedding", "loop_feedback", "resonance_gate"):
            if getattr(self, name) and self.num_loops == 1:
                raise ValueError(f"{name}=True needs num_loops > 1, not num_loops=1")
        if self.resonance_gate and self.num_registers == 0:
            raise ValueError("resonance_gate=True needs num_registers > 0, not num_registers=0")
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            ids = getattr(self, name)
            for token_id in ids if isinstance(ids, list) else [] if ids is None else [ids]:
                if not isinstance(token_id, int) or not 0 <= token_id < self.vocab_size:
                    raise ValueError(f"{name}={token_id!r} is no id in the vocabulary of vocab_size={self.vocab_size}")

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """As in transformers, with all the code that the configuration's `auto_map` names."""
        super().save_pretrained(save_directory, *args, **kwargs)
        for file in Path(__file__).parent.glob("*_brandon.py"):
            shutil.copy(file, save_directory)

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """As in transformers; original field names are translated, see `from_dict`."""
        where = {key: kwargs[key] for key in ("subfolder", "revision") if kwargs.get(key)}
        config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if is_original_config(config_dict):
            names = find_tensor_names(str(pretrained_model_name_or_path), **where)
            config_dict = original_config_to_native(config_dict, names)
        return config_dict, kwargs

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build from a dictionary in native or original field names.

        The original's exports leave out which feed-forward network and loop options a model has, so these are read
        from the names of its tensors when `kwargs["name_or_path"]` is a local folder or a Hub repository. `AutoConfig`
        does not pass a subfolder on: from there, load through `BrandonForCausalLM` or `brandon import`.
        """
        if is_original_config(config_dict):
            source = kwargs.get("name_or_path") or config_dict.get("_name_or_path")
            config_dict = original_config_to_native(config_dict, find_tensor_names(str(source)) if source else None)
        return super().from_dict(config_dict, **kwargs)


def _require_integer(name: str, value: Any, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name}={value!r} must be an integer of at least {minimum}")


__all__ = ["BrandonConfig"]
