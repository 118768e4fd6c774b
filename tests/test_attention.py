"""The CPU's blocked attention: values and gradients against the plain form, whatever the mask."""

import pytest
import torch

from brandon_hf.modeling.attention_brandon import attend_in_blocks, eager_attention

BATCH, HEADS, KV_HEADS, SIZE = 2, 4, 2, 3


def inputs(rows: int, keys: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(rows + keys)
    shapes = [(HEADS, rows), (KV_HEADS, keys), (KV_HEADS, keys)]
    return [
        torch.randn(BATCH, *shape, SIZE, dtype=torch.double, generator=generator).requires_grad_() for shape in shapes
    ]


def masks(rows: int, keys: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    visible = torch.rand(BATCH, 1, rows, keys, generator=generator) < 0.7
    visible[..., 0] = True
    return {
        "boolean": visible,
        "additive": torch.randn(1, 1, rows, keys, dtype=torch.double, generator=generator),
    }


@pytest.mark.parametrize("kind", ["boolean", "additive"])
def test_any_mask_over_more_keys_than_rows_is_applied(kind: str) -> None:
    query, key, value = inputs(7, 11)
    mask = masks(7, 11)[kind]
    additive = (
        torch.zeros_like(mask, dtype=torch.double).masked_fill(~mask, -1e30) if mask.dtype == torch.bool else mask
    )
    expected, _ = eager_attention(torch.nn.Identity(), query, key, value, additive)
    attended = attend_in_blocks(query, key, value, mask, aligned=False, rows_per_block=3)
    torch.testing.assert_close(attended, expected, atol=1e-6, rtol=1e-6)  # the plain softmax is float32


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("kind", [None, "boolean", "additive"])
def test_gradients_are_those_of_finite_differences(kind: str | None, dropout: float) -> None:
    rows, keys = (5, 5) if kind is None else (5, 7)
    mask = None if kind is None else masks(rows, keys)[kind]

    def attend(*tensors: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)  # the same weights are dropped each time
        return attend_in_blocks(*tensors, mask, dropout, aligned=kind is None, rows_per_block=2)

    assert torch.autograd.gradcheck(attend, inputs(rows, keys))


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    torch.manual_seed(0)
    query, key = torch.zeros(1, 1, 64, 2), torch.zeros(1, 1, 64, 2)
    value = torch.ones(1, 1, 64, 2)
    attended = torch.cat([attend_in_blocks(query, key, value, None, dropout=0.25)[..., 0] for _ in range(50)])
    assert attended[:, 40:].mean() == pytest.approx(1, abs=0.02)
    assert (attended[:, 0] == 0).float().mean() == pytest.approx(0.25, abs=0.2)
