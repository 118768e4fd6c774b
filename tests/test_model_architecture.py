"""What the model computes: against a naive implementation, option by option, and as it is initialised."""

import math
from typing import Any

import pytest
import torch
from model_runners import CONFIGS, PLAIN, assert_close, gradients, random_ids, tiny_model
from torch.nn import functional

from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM, BrandonModel
from brandon_hf.modeling.modeling_brandon import TernaryLinear


class NaiveBrandon:
    """The forward pass of one text without a cache, head by head and layer by layer, from the weights alone."""

    def __init__(self, model: BrandonForCausalLM):
        self.config, self.weights = model.config, model.state_dict(keep_vars=True)

    def norm(self, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rows / (rows.pow(2).mean(-1, keepdim=True) + self.config.rms_norm_eps).sqrt() * weight

    def matrices(self, name: str, sizes: list[int]) -> list[torch.Tensor]:
        parts = list(self.weights[name + ".weight"].split(sizes))
        if self.config.ternary_weights:
            for index, part in enumerate(parts):
                scale = part.abs().mean() + 1e-8
                levels = torch.clamp(torch.round(part / scale), -1, 1) * scale
                parts[index] = part + (levels - part).detach()
        return parts

    def rotate(self, head: torch.Tensor) -> torch.Tensor:
        """(rows, d); row p is turned by p: the pair (k, k + d/2) is a complex number times exp(i p theta^(-2k/d))."""
        half = head.shape[1] // 2
        speeds = torch.tensor([self.config.rope_theta ** (-k / half) for k in range(half)])
        turn = torch.polar(torch.ones(len(head), half), torch.arange(len(head))[:, None] * speeds)
        turned = torch.complex(head[:, :half], head[:, half:]) * turn
        return torch.cat([turned.real, turned.imag], dim=1)

    def attention(
        self, rows: torch.Tensor, block: str, layer: int, first_values: list[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        c, d = self.config, self.config.head_dim
        heads, kv = c.num_attention_heads, c.num_key_value_heads
        sizes = [heads * d, kv * d, kv * d] + ([heads] if c.attention_output_gate else [])
        query, key, value, *gate = (rows @ m.T for m in self.matrices(block + "attention.qkv_proj", sizes))
        values = [value[:, j * d : (j + 1) * d] for j in range(kv)]
        outputs = []
        for head in range(heads):
            group = head // (heads // kv)
            q, k = query[:, head * d : (head + 1) * d], key[:, group * d : (group + 1) * d]
            if c.qk_norm:
                q = self.norm(q, self.weights[block + "attention.q_norm.weight"])
                k = self.norm(k, self.weights[block + "attention.k_norm.weight"])
            q, k, v = self.rotate(q), self.rotate(k), values[group]
            if layer and c.value_residual == "add":
                v = v + first_values[group]
            elif layer and c.value_residual == "learned":
                own, first = self.weights["model.value_weights"][layer]
                v = own * v + first * first_values[group]
            output = []
            for row in range(len(rows)):
                scores = torch.stack([q[row] @ k[other] / math.sqrt(d) for other in range(row + 1)])
                output.append(scores.softmax(0) @ v[: row + 1])
            stacked = torch.stack(output)
            outputs.append(stacked * torch.sigmoid(gate[0][:, head : head + 1]) if gate else stacked)
        (o,) = self.matrices(block + "attention.o_proj", [c.hidden_size])
        return torch.cat(outputs, dim=1) @ o.T, first_values or values

    def feed_forward(self, rows: torch.Tensor, block: str) -> torch.Tensor:
        size = self.config.intermediate_size
        if self.config.mlp_type == "swiglu":
            gate, up = (rows @ m.T for m in self.matrices(block + "mlp.gate_up_proj", [size, size]))
            inner = gate * torch.sigmoid(gate) * up
        else:
            inner = (rows @ self.matrices(block + "mlp.up_proj", [size])[0].T).clamp(min=0) ** 2
        return inner @ self.matrices(block + "mlp.down_proj", [self.config.hidden_size])[0].T

    def __call__(self, ids: torch.Tensor) -> dict[str, Any]:
        """(T,) ids to logits (T, V), the hidden states of each layer and the logits of the further heads."""
        c, w = self.config, self.weights
        rows, registers = w["model.embed_tokens.weight"][ids], c.num_registers
        if registers:
            rows = torch.cat([w["model.registers"], rows])
        states, first_values, before = [rows], [], rows
        per_loop = c.num_hidden_layers // c.num_loops
        for loop in range(c.num_loops):
            if loop and c.resonance_gate:
                gate = torch.sigmoid(w["model.resonance_gate"])
                rows = torch.cat([gate * rows[:registers] + (1 - gate) * w["model.registers"], rows[registers:]])
            if c.step_embedding:
                rows = rows + w["model.step_embeddings"][loop]
            if loop and c.loop_feedback:
                rows = rows + self.norm(before, w["model.feedback_norm.weight"])
            before, in_loop = rows, [rows]
            for index in range(per_loop):
                block = f"model.blocks.{index // c.block_repeat}."
                normed = self.norm(rows, w[block + "attention_norm.weight"])
                attended, first_values = self.attention(normed, block, loop * per_loop + index, first_values)
                rows = rows + attended
                rows = rows + self.feed_forward(self.norm(rows, w[block + "mlp_norm.weight"]), block)
                in_loop.append(rows)
                if c.depth_weighted_average:
                    rows = sum(w["model.dwa.weight"][index, j] * state for j, state in enumerate(in_loop))
                states.append(rows)
        last = self.norm(rows[registers:], w["model.norm.weight"])
        further = []
        for head in range(c.num_mtp_heads):
            prefix = f"mtp_heads.{head}."
            moved = self.norm(last @ w[prefix + "proj.weight"].T, w[prefix + "norm.weight"])
            further.append(moved @ w["lm_head.weight"].T)
        hidden_states = [*(state[registers:] for state in states[:-1]), last]
        return {"logits": last @ w["lm_head.weight"].T, "hidden_states": hidden_states, "mtp_logits": further}


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_model_agrees_with_a_naive_implementation(name: str) -> None:
    model = tiny_model(name)
    ids = random_ids(2, 7)
    got = model(ids, output_hidden_states=True, output_mtp_logits=True)
    assert len(got.mtp_logits or ()) == model.config.num_mtp_heads
    assert len(got.hidden_states) == model.config.num_hidden_layers + 1
    for row in range(2):
        naive = NaiveBrandon(model)(ids[row])
        assert_close(got.logits[row], naive["logits"], 1e-4)
        for state, expected in zip(got.hidden_states, naive["hidden_states"], strict=True):
            assert_close(state[row], expected, 1e-4)
        for logits, expected in zip(got.mtp_logits or (), naive["mtp_logits"], strict=True):
            assert_close(logits[row], expected, 1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_agree_with_a_naive_implementation(name: str) -> None:
    model, ids = tiny_model(name).train(), random_ids(1, 6)
    got = gradients(model, lambda m: m(ids, labels=ids).loss)

    def naive_loss(m: torch.nn.Module) -> torch.Tensor:
        outputs = NaiveBrandon(m)(ids[0])
        logits = [outputs["logits"], *outputs["mtp_logits"]]
        losses = [functional.cross_entropy(rows[:-ahead], ids[0, ahead:]) for ahead, rows in enumerate(logits, 1)]
        return sum(losses) / len(losses)

    for parameter, gradient in gradients(model, naive_loss).items():
        assert_close(got[parameter], torch.zeros_like(got[parameter]) if gradient is None else gradient, 1e-4)


def test_flagship_is_the_default_and_has_its_parameters() -> None:
    with torch.device("meta"):
        assert BrandonForCausalLM(BrandonConfig()).num_parameters() == 10_706_776


def test_new_options_are_off_by_default() -> None:
    config = BrandonConfig()
    off = ("qk_norm", "attention_output_gate", "step_embedding", "loop_feedback", "resonance_gate", "ternary_weights")
    assert not any(getattr(config, name) for name in off)
    assert (config.num_mtp_heads, config.num_loops, config.dropout) == (0, 1, 0.0)
    assert (config.value_residual, config.mlp_type, config.tie_word_embeddings) == ("add", "swiglu", True)


# Each option's parameters as the docstring of BrandonConfig states them.
V, D, L, H, K, SIZE, F = 67, 24, 4, 4, 2, 8, 20
BLOCK = 2 * D + D * SIZE * (2 * H + 2 * K) + 3 * D * F
COSTS = {
    "untied": (PLAIN, {"tie_word_embeddings": False}, D * V),
    "relu_squared": (PLAIN, {"mlp_type": "relu_squared"}, -D * F * L),
    "pairs": (PLAIN, {"block_repeat": 2}, -2 * BLOCK),
    "a rest of one": (PLAIN, {"block_repeat": 3}, -2 * BLOCK),
    "all the same": (PLAIN, {"block_repeat": 4}, -3 * BLOCK),
    "dwa": (PLAIN, {"depth_weighted_average": True}, L * (L + 1)),
    "dwa per loop": (PLAIN | {"num_loops": 2}, {"depth_weighted_average": True}, 2 * 3),
    "values added": (PLAIN, {"value_residual": "add"}, 0),
    "values learned": (PLAIN, {"value_residual": "learned"}, 2 * L),
    "registers": (PLAIN, {"num_registers": 5}, 5 * D),
    "qk_norm": (PLAIN, {"qk_norm": True}, 2 * SIZE * L),
    "gate": (PLAIN, {"attention_output_gate": True}, D * H * L),
    "mtp": (PLAIN, {"num_mtp_heads": 3}, 3 * (D * D + D)),
    "loops": (PLAIN, {"num_loops": 2}, -2 * BLOCK),
    "steps": (PLAIN | {"num_loops": 2}, {"step_embedding": True}, 2 * D),
    "feedback": (PLAIN | {"num_loops": 2}, {"loop_feedback": True}, D),
    "resonance": (PLAIN | {"num_loops": 2, "num_registers": 2}, {"resonance_gate": True}, D),
    "ternary": (PLAIN, {"ternary_weights": True}, 0),
    "dropout": (PLAIN, {"dropout": 0.1}, 0),
}


def parameters(**fields: Any) -> int:
    with torch.device("meta"):
        return BrandonForCausalLM(BrandonConfig(**fields)).num_parameters()


def test_plain_parameters_are_those_of_the_docstring() -> None:
    assert parameters(**PLAIN) == V * D + L * BLOCK + D


@pytest.mark.parametrize("option", COSTS)
def test_option_costs_the_parameters_of_its_docstring(option: str) -> None:
    base, change, cost = COSTS[option]
    assert parameters(**base | change) - parameters(**base) == cost


def fresh(**fields: Any) -> BrandonForCausalLM:
    torch.manual_seed(3)
    return BrandonForCausalLM(BrandonConfig(**PLAIN | fields)).eval()


@torch.no_grad()
def same_logits(model: BrandonForCausalLM, other: BrandonForCausalLM) -> bool:
    """Whether the two agree when `model` takes over all that `other` has and keeps the rest as initialised."""
    left_over = model.load_state_dict(other.state_dict(), strict=False)
    assert not left_over.unexpected_keys
    ids = random_ids(2, 6)
    return torch.allclose(model(ids).logits, other(ids).logits, atol=1e-6)


def test_options_that_start_as_the_identity_do() -> None:
    assert same_logits(fresh(depth_weighted_average=True), fresh())
    assert same_logits(fresh(value_residual="learned"), fresh(value_residual="add"))
    assert not same_logits(fresh(value_residual="learned"), fresh(value_residual="none"))


def test_resonance_gate_starts_half_open() -> None:
    assert (fresh(num_loops=2, num_registers=2, resonance_gate=True).model.resonance_gate == 0).all()


@pytest.mark.parametrize("untied", [False, True])
def test_weights_start_with_the_stated_deviations(untied: bool) -> None:
    torch.manual_seed(0)
    config = BrandonConfig(vocab_size=512, num_hidden_layers=8, tie_word_embeddings=not untied, num_mtp_heads=1)
    model = BrandonForCausalLM(config)
    wide, deep = 256**-0.5, 2 * config.num_hidden_layers
    expected = {"embed_tokens": wide, "qkv_proj": wide, "gate_up_proj": wide, "lm_head": wide, "mtp_heads.0.proj": wide}
    # Once per block, however often it is applied.
    expected |= {"o_proj": (256 * deep) ** -0.5, "down_proj": (720 * deep) ** -0.5, "registers": 0.02}
    for name, parameter in model.named_parameters():
        for part, deviation in expected.items():
            if part in name and "norm" not in name:
                assert parameter.std().item() == pytest.approx(deviation, rel=0.1 if part == "registers" else 0.03)
    assert all((p == 1).all() for name, p in model.named_parameters() if "norm" in name)
    assert torch.equal(model.model.dwa.weight, torch.eye(8, 9).roll(1, dims=1))


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("enhanced", "registers"),
        ("enhanced", "dwa.weight"),
        ("value_learned", "value_weights"),
        ("everything", "registers"),
        ("everything", "step_embeddings"),
        ("everything", "feedback_norm.weight"),
        ("everything", "resonance_gate"),
        ("everything", "value_weights"),
        ("everything", "blocks.0.attention.q_norm.weight"),
        ("everything", "blocks.0.attention.k_norm.weight"),
    ],
)
@torch.no_grad()
def test_small_parameters_reach_the_logits(name: str, parameter: str) -> None:
    model, ids = tiny_model(name), random_ids(1, 6)
    before = model(ids).logits
    model.model.get_parameter(parameter).mul_(-1.5)
    assert (model(ids).logits - before).abs().max() > 1e-3


@torch.no_grad()
def test_registers_are_seen_by_the_first_token() -> None:
    model, ids = tiny_model("registers"), random_ids(1, 1)
    before = model(ids).logits
    model.model.registers.mul_(2)
    assert (model(ids).logits - before).abs().max() > 1e-3


@torch.no_grad()
def test_a_repeated_block_holds_its_weights_once() -> None:
    model = tiny_model("sharing")
    assert len(model.model.blocks) == 2
    unshared = BrandonModel(BrandonConfig(**PLAIN)).eval()
    unshared.load_state_dict(
        {
            name.replace(f"blocks.{b}.", f"blocks.{b * 2 + copy}."): weight
            for name, weight in model.model.state_dict().items()
            for b in range(2)
            for copy in range(2)
            if f"blocks.{b}." in name or "blocks" not in name
        }
    )
    ids = random_ids(1, 6)
    assert_close(model.model(ids).last_hidden_state, unshared(ids).last_hidden_state)


def test_ternary_matrices_take_three_values_each() -> None:
    model = tiny_model("everything")
    layers = [module for module in model.modules() if isinstance(module, TernaryLinear)]
    assert len(layers) == 4 * model.config.num_unique_blocks
    qkv = model.model.blocks[0].attention.qkv_proj
    assert qkv.parts == (32, 16, 16, 4)  # query, key, value and gate each have a scale
    for layer in layers:
        for latent, used in zip(
            layer.weight.split(layer.parts), layer.quantized_weight().split(layer.parts), strict=True
        ):
            scale = latent.abs().mean() + 1e-8
            levels = torch.unique(used.detach())
            torch.testing.assert_close(levels, torch.tensor([-1.0, 0.0, 1.0]) * scale.detach())


def test_ternary_gradients_pass_straight_through() -> None:
    torch.manual_seed(0)
    layer = TernaryLinear(6, (4, 3))
    rows, weights = torch.randn(5, 6), torch.randn(5, 7)
    (layer(rows) * weights).sum().backward()
    torch.testing.assert_close(layer.weight.grad, weights.T @ rows)
    full = functional.linear(rows, layer.weight)
    assert (layer(rows) - full).abs().max() > 1e-2


def test_embeddings_and_heads_stay_in_full_precision_in_a_ternary_model() -> None:
    model = tiny_model("everything")
    others = (model.lm_head, *(head.proj for head in model.mtp_heads))
    assert not any(isinstance(module, TernaryLinear) for module in others)
    ids = random_ids(1, 3)
    states = model(ids, output_hidden_states=True).hidden_states
    expected = model.model.embed_tokens.weight[ids[0]]
    assert_close(states[0][0], expected)
