"""Blobs, evaluated through the C engine: as a model of lm-evaluation-harness, and where texts are generated.

Importing this module registers `brandon-engine`, for `lm_eval.simple_evaluate(model="brandon-engine",
model_args="pretrained=model.gguf")`.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import lm_eval.models  # noqa: F401  # lm-eval only adds its own while no model is registered
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from brandon_hf.runtime import Engine

Pair = tuple[list[int], list[int]]  # token ids of a context, never empty, and of what is scored after it
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "no_repeat_ngram_size", "seed")


@register_model("brandon-engine")
class EngineModel(TemplateLM):
    """Asks a blob for what `ScoringModel` asks a model folder for; the contexts, lengths and counts are the same.

    Args:
        pretrained: The file.
        bos: Whether texts begin with the bos token: True, False, or None, as the tokenizer itself does it.
        tokenizer: transformers' form of the same tokenizer, for those who ask for it; the ids are the engine's.
        batch_size, max_batch_size, device: Given by lm-eval; the engine takes one text at a time, on the CPU.
        **options: Of `Engine`.

    Raises:
        ValueError, OSError: As `Engine`; or the blob has neither a bos nor an eos token.
    """

    def __init__(
        self,
        pretrained: str,
        *,
        bos: bool | None = None,
        tokenizer: Any = None,
        batch_size: Any = None,
        max_batch_size: Any = None,
        device: Any = None,
        **options: Any,
    ):
        super().__init__()
        if device not in (None, "cpu"):
            raise ValueError(f"the engine runs on the CPU, not on device={device!r}")
        self.engine = Engine(pretrained, **options)
        info = self.engine.info
        self.tokenizer, self.max_length = tokenizer, info.context
        self.add_bos = info.add_bos if bos is None else bos
        self.truncated: Counter[str] = Counter()
        self.doing = "scoring"  # what the progress bar says
        self._screen = sys.stderr
        first = info.bos if info.bos is not None else info.eos
        if first is None:
            raise ValueError(f"{pretrained} has neither a bos nor an eos token: one must begin texts without a context")
        self._prefix = first
        self._cut: list[bool] = []

    @property
    def prefix_token_id(self) -> int:
        """What begins texts that have no context."""
        return self._prefix

    @property
    def eot_token_id(self) -> int:
        """The end of a text."""
        return self._prefix if self.engine.info.eos is None else self.engine.info.eos

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, without special tokens."""
        return self.engine.encode(text)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """The token ids of a text, with bos where it is to have one and does not spell it."""
        ids = self.engine.encode(string)
        bos = self.engine.info.bos
        wanted = self.add_bos and ids[:1] != [bos] if add_special_tokens is None else add_special_tokens
        return [bos, *ids] if wanted and bos is not None else ids

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """As lm-eval's; counts in `truncated` the examples that were cut."""
        scores = super().loglikelihood(requests, True)
        cut = {(request.task_name, request.doc_id) for request, c in zip(requests, self._cut, strict=True) if c}
        self.truncated.update(str(task) for task, _ in cut)
        return scores

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """The log-likelihood of whole texts, in windows of the context that share no token they score."""
        pairs: list[Pair] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            ids = self.tok_encode(request.args[0])
            for window in get_rolling_token_windows(ids, self.prefix_token_id, self.max_length, 1):
                pairs.append(make_disjoint_window(window))
                owners.append(number)
        totals = [0.0] * len(requests)
        for owner, (value, _) in zip(owners, self.score(pairs), strict=True):
            totals[owner] += value
        return totals

    def score(self, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
        """The log-probability (nats) of each second part after its first, and whether greedy decoding writes it."""
        return self._loglikelihood_tokens([(None, context, target) for context, target in pairs])

    def _loglikelihood_tokens(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
        self._cut = [len(context) + len(target) > self.max_length + 1 for _, context, target in requests]
        pairs = [self._fitted(context, target) for _, context, target in requests]
        found: dict[Any, tuple[float, bool]] = {}
        # in this order, texts with a beginning in common follow each other, and the engine computes it once
        for context, target in tqdm(
            sorted(set(pairs)), desc=self.doing, unit="text", file=self._screen, leave=False, disable=None
        ):
            scores, greedy = self.engine.score_after(context, target)
            found[context, target] = sum(scores), all(greedy)
        return [found[pair] for pair in pairs]

    def _fitted(self, context: Sequence[int], target: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        target = tuple(target[-self.max_length :])
        return tuple(context[-(self.max_length + 1 - len(target)) :]), target

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """What the model writes after each context, up to the first of its stop sequences."""
        texts = []
        for request in tqdm(
            requests, desc=self.doing, unit="text", file=self._screen, leave=False, disable=disable_tqdm or None
        ):
            context, options = request.args
            settings: dict[str, Any] = {**normalize_gen_kwargs(options, self.max_length // 2)}
            until = handle_stop_sequences(settings.pop("until"), eos=self.engine.decode([self.eot_token_id], True))
            new = min(settings.pop("max_gen_toks"), self.max_length - 1)
            if settings.pop("do_sample"):
                settings.setdefault("temperature", 1.0)  # as in transformers
            else:
                settings = {name: settings[name] for name in settings if name not in ("top_k", "top_p", "min_p")}
            if unknown := [name for name in settings if name not in _SAMPLING]:
                raise ValueError(f"the engine has no option {unknown[0]} of generation: {', '.join(_SAMPLING)}")
            ids = self.tok_encode(context)[-(self.max_length - new) :]
            written = ""
            for piece in self.engine.generate(ids, max_new_tokens=new, **settings):
                written += piece
                if any(stop in written for stop in until):
                    break
            texts.append(postprocess_generated_text(written, until, None))
            self.cache_hook.add_partial("generate_until", request.args, texts[-1])
        return texts


class GeneratingEngine:
    """A blob as `writing.write` uses a model of transformers: `generate`, and the logits of whole texts.

    Seeds are drawn from torch's random numbers, so that `set_seed` makes texts repeatable.
    """

    device = torch.device("cpu")

    def __init__(self, engine: Engine, config: Any, stop_ids: Sequence[int]):
        self.engine, self.config = engine, config
        self.generation_config = SimpleNamespace(eos_token_id=list(stop_ids))

    def eval(self) -> "GeneratingEngine":
        """It knows nothing else."""
        return self

    def __call__(self, input_ids: torch.Tensor) -> Any:
        """The logits (1, T, V) after each token of one text (1, T)."""
        ids = input_ids[0].tolist()
        rows = [torch.tensor(self.engine.logits(ids[: length + 1])) for length in range(len(ids))]
        return SimpleNamespace(logits=torch.stack(rows)[None])

    def generate(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        max_new_tokens: int,
        eos_token_id: Sequence[int] | None,
        pad_token_id: int,
        streamer: Any,
        do_sample: bool,
        **sampling: Any,
    ) -> torch.Tensor:
        """Continue the texts (B, T), padded on the left, one after the other; the results are padded on the right."""
        rows = []
        for ids, mask in zip(input_ids, attention_mask, strict=True):
            if not do_sample:
                sampling["temperature"] = 0.0
            if streamer is not None:
                streamer.put(ids)
            seed = int(torch.randint(2**62, (1,)))
            new: list[int] = []
            for token_id in self.engine.generate_ids(
                ids[mask.bool()].tolist(), max_new_tokens=max_new_tokens, seed=seed, **sampling
            ):
                new.append(token_id)
                if streamer is not None:
                    streamer.put(token_id)
                if token_id in (eos_token_id or ()):
                    break
            rows.append(new)
        longest = max(map(len, rows))
        written = torch.tensor([row + [pad_token_id] * (longest - len(row)) for row in rows])
        return torch.cat([input_ids, written], dim=1)
