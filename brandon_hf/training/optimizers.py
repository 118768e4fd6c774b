"""AdamW with weight decay on matrices only, and Muon for hidden matrices beside it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

_Trainer: Any = object  # the mixin's neighbours are transformers' or TRL's


def decaying_parameters(model: nn.Module) -> list[str]:
    """Names of the parameters that weight decay acts on: the weights of linear layers and embeddings.

    Registers, step embeddings and averaging weights have two axes but are no matrices that multiply anything: they do
    not decay, like all vectors.
    """
    return [name for name, parameter in model.named_parameters() if _is_matrix(model, name, parameter)]


def hidden_matrices(model: nn.Module) -> list[torch.Tensor]:
    """The weights between hidden states: every linear layer's but the output's, which may be the embeddings."""
    output = model.get_output_embeddings()  # type: ignore[operator]  # a PreTrainedModel's
    linear = [module for module in model.modules() if isinstance(module, nn.Linear) and module is not output]
    return [module.weight for module in linear if module.weight.requires_grad]


def _is_matrix(model: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    owner = model.get_submodule(name.rpartition(".")[0])
    return parameter.ndim >= 2 and isinstance(owner, (nn.Linear, nn.Embedding))


class OptimizerPair(torch.optim.Optimizer):
    """Two optimizers that step together and share one list of parameter groups and one scheduler."""

    def __init__(self, first: torch.optim.Optimizer, second: torch.optim.Optimizer):
        self.pair = (first, second)
        super().__init__([*first.param_groups, *second.param_groups], {})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.param_groups.append(param_group)  # the very groups of the two, so that a scheduler moves their rates

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure here
        for optimizer in self.pair:
            optimizer.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for optimizer in self.pair:
            optimizer.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"pair": [optimizer.state_dict() for optimizer in self.pair]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for optimizer, state in zip(self.pair, state_dict["pair"], strict=True):
            optimizer.load_state_dict(state)
        self.param_groups[:] = [group for optimizer in self.pair for group in optimizer.param_groups]


def muon_with_adamw(
    model: nn.Module, learning_rate: float, weight_decay: float, muon_lr_scale: float, betas: tuple[float, float]
) -> OptimizerPair:
    """torch's Muon (momentum orthogonalised, https://kellerjordan.github.io/posts/muon) for the hidden matrices.

    Its updates are scaled to AdamW's size (`match_rms_adamw`, arXiv:2502.16982), so one learning rate serves both.
    """
    hidden = hidden_matrices(model)
    if not hidden:
        raise ValueError("optimizer='muon' needs linear layers to train, and the model has none")
    chosen, decaying = {id(weight) for weight in hidden}, set(decaying_parameters(model))
    groups: list[dict[str, Any]] = [{"params": [], "weight_decay": decay} for decay in (weight_decay, 0.0)]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in chosen:
            groups[0 if name in decaying else 1]["params"].append(parameter)
    muon = torch.optim.Muon(
        hidden, lr=learning_rate * muon_lr_scale, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    adamw = torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, betas=betas)
    return OptimizerPair(muon, adamw)


class MuonTrainer(_Trainer):
    """A mixin for trainers whose arguments are `OptimizerArguments` too; it goes before them in the list of bases."""

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW, or Muon beside it."""
        trainer: Any = self  # whose optimizer has another type in transformers
        args = trainer.args
        if trainer.optimizer is None and args.optimizer == "muon":
            model, betas = trainer.model if model is None else model, (args.adam_beta1, args.adam_beta2)
            trainer.optimizer = muon_with_adamw(model, args.learning_rate, args.weight_decay, args.muon_lr_scale, betas)
        return super().create_optimizer(model)
