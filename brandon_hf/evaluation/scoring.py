"""A causal language model that lm-evaluation-harness, and our own protocols, ask for log-likelihoods."""

import copy
import inspect
import itertools
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

TOKENS_PER_BATCH = {"cpu": 4096}
MOST_TOKENS = 65536  # of a batch on other devices
LOGITS_PER_BATCH = {"cpu": 2**26}
MOST_LOGITS = 2**29  # 2 GB in float32, and as much again for their logarithms
Pair = tuple[list[int], list[int]]  # token ids of a context, never empty, and of what is scored after it
_Ids = tuple[int, ...]
_Pair = tuple[_Ids, _Ids]


class ScoringModel(HFLM):
    """lm-eval's HFLM with some differences, none of which changes what a score in float32 should be:

    - `batch_size="auto"` fills batches up to a number of tokens, longest examples first (HFLM probes the memory),
    - and reads a context that has several continuations once, if the model keeps keys and values of every token,
    - a score is computed once: protocols ask for many of the same,
    - log-probabilities are formed in float32 whatever the weights are in: rounded to bfloat16, the sentences of a pair
      tie, and lm-eval gives a tie to the first, which in BLiMP is the right one,
    - the windows of long texts share no results: HFLM confuses windows of equal tokens and different beginnings,
    - what does not fit into the context is counted in `truncated`, by task, and a scored text longer than the
      whole context loses its beginning too (HFLM stops there).

    Args:
        name: model folder or name on the Hub.
        bos: whether texts begin with the bos token: True, False, or None, as the tokenizer itself does it.

    Raises:
        ValueError: the tokenizer has neither a bos nor an eos token.
    """

    def __init__(
        self,
        name: str,
        *,
        dtype: str = "auto",
        device: str = "cpu",
        batch_size: int | None = None,
        bos: bool | None = None,
        trust_remote_code: bool = False,
    ):
        logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it warns of every type of model it has no name for
        super().__init__(
            pretrained=name,
            dtype=dtype,
            device=device,
            batch_size=batch_size or "auto",
            add_bos_token=bos,
            softmax_dtype="float32",
            trust_remote_code=trust_remote_code,
        )
        self.truncated: Counter[str] = Counter()
        self.doing = "scoring"  # what the progress bar says
        self._cut: list[bool] = []
        self._scores: dict[_Pair, tuple[float, bool]] = {}
        self._bar: tqdm[Any] | None = None
        self._screen = sys.stderr
        if self.prefix_token_id is None:
            raise ValueError(
                f"the tokenizer of {name} has neither a bos nor an eos token: one of them must begin "
                "the texts that have no context (set tokenizer.bos_token)"
            )

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """As HFLM's; counts in `truncated` the examples that were cut."""
        scores = super().loglikelihood(requests, disable_tqdm)
        cut = {(request.task_name, request.doc_id) for request, c in zip(requests, self._cut, strict=True) if c}
        self.truncated.update(str(task) for task, _ in cut)
        return scores

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """As HFLM's, with one progress bar."""
        self.logits_cache = False
        try:
            with self._progress(sum(len(self.encode(request.args[0])) for request in requests)):
                return super().loglikelihood_rolling(requests, True)
        finally:
            self.logits_cache = True

    def score(self, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
        """The log-probability (nats) of each second part after its first, and whether greedy decoding writes it."""
        return self._loglikelihood_tokens([(None, context, target) for context, target in pairs])

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, without special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        self._cut = [len(context) + len(target) > self.max_length + 1 for _, context, target in requests]
        fitting = [
            (key, context[-1:], target[-self.max_length :]) if len(target) > self.max_length else (key, context, target)
            for key, context, target in requests
        ]
        with torch.inference_mode():
            if self._bar is not None:  # a batch of the windows of long texts
                return super()._loglikelihood_tokens(fitting, True, override_bs)
            pairs = [(tuple(context), tuple(target)) for _, context, target in fitting]
            new = [pair for pair in pairs if pair not in self._scores]
            with self._progress(sum(len(context) + len(target) - 1 for context, target in new)):
                for batch in self._sharing(new):
                    self._scores |= self._score_continuations(*batch)
                rest = [index for index, pair in enumerate(pairs) if pair not in self._scores]
                plain = super()._loglikelihood_tokens([fitting[index] for index in rest], True, override_bs)
            self._scores |= {pairs[index]: score for index, score in zip(rest, plain, strict=True)}
            return [self._scores[pair] for pair in pairs]

    def _sharing(self, pairs: Sequence[_Pair]) -> Iterator[tuple[list[_Ids], list[list[_Ids]]]]:
        """Batches of contexts of one length and the continuations of each, where a context has several."""
        if not pairs or self.batch_size != "auto" or not self._keeps_whole_contexts():
            return
        targets: dict[_Ids, dict[_Ids, None]] = defaultdict(dict)
        for context, target in pairs:
            if len(context) + len(target) <= self.max_length + 1:
                targets[context][target] = None
        shared = sorted((context for context, several in targets.items() if len(several) > 1), key=len, reverse=True)
        for length, alike in itertools.groupby(shared, key=len):
            contexts = list(alike)
            size = self._rows(length)
            for start in range(0, len(contexts), size):
                some = contexts[start : start + size]
                yield some, [list(targets[context]) for context in some]

    def _keeps_whole_contexts(self) -> bool:
        """Whether what the model keeps of a context can be copied: keys and values of all its tokens."""
        if "logits_to_keep" not in inspect.signature(self.model.forward).parameters:
            return False
        cache = self.model(torch.tensor([[self.prefix_token_id]], device=self.device), use_cache=True)
        cache = getattr(cache, "past_key_values", None)
        return isinstance(cache, DynamicCache) and all(type(layer) is DynamicLayer for layer in cache.layers)

    def _score_continuations(self, contexts: list[_Ids], targets: list[list[_Ids]]) -> dict[_Pair, tuple[float, bool]]:
        """Each context is read once, and its continuations after it.

        The padding of a shorter continuation stands after it, where it changes nothing.
        """
        read = self.model(torch.tensor(contexts, device=self.device), use_cache=True, logits_to_keep=1)
        rows = sorted(
            ((index, target) for index, several in enumerate(targets) for target in several),
            key=lambda row: len(row[1]),
            reverse=True,
        )
        found: dict[_Pair, tuple[float, bool]] = {}
        while rows:
            size = max(1, self._rows(len(rows[0][1])) // 4)  # small batches, of continuations about as long
            some, rows = rows[:size], rows[size:]
            scores = self._score_after(read, some)
            found |= {(contexts[index], target): score for (index, target), score in zip(some, scores, strict=True)}
        self._advance(sum(len(context) + len(target) - 1 for context, target in found))
        return found

    def _score_after(self, read: Any, rows: list[tuple[int, _Ids]]) -> list[tuple[float, bool]]:
        """The scores of continuations, each with the index of its context in what was read."""
        of = torch.tensor([index for index, _ in rows], device=self.device)
        logits = read.logits[of]
        fed = pad_sequence([torch.tensor(target[:-1], dtype=torch.long) for _, target in rows], batch_first=True)
        if fed.shape[1]:
            cache = copy.copy(read.past_key_values)
            cache.layers = [copy.copy(layer) for layer in cache.layers]
            cache.batch_select_indices(of)  # puts new tensors into the copies
            after = self.model(fed.to(self.device), past_key_values=cache, use_cache=True).logits
            logits = torch.cat([logits, after], dim=1)
        expected = pad_sequence([torch.tensor(target) for _, target in rows], batch_first=True).to(self.device)
        each = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
        chosen = each.gather(2, expected[..., None])[..., 0].cpu()
        greedy = (each.argmax(-1) == expected).cpu()
        lengths = [len(target) for _, target in rows]
        return [
            (float(chosen[row, :length].sum()), bool(greedy[row, :length].all())) for row, length in enumerate(lengths)
        ]

    def _model_call(self, inps: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        logits = super()._model_call(inps, *args, **kwargs)
        self._advance(inps.numel())  # padding counts here, though not in the total
        return logits

    def _advance(self, tokens: int) -> None:
        if self._bar is not None:
            self._bar.update(min(tokens, self._bar.total - self._bar.n))

    @contextmanager
    def _progress(self, tokens: int) -> Iterator[None]:
        with tqdm(
            total=tokens, desc=self.doing, unit="token", unit_scale=True, file=self._screen, leave=False, disable=None
        ) as self._bar:
            yield
        self._bar = None

    def _batch_scheduler(self, pos: int, n_reordered_requests: Sequence[Any]) -> int:
        _, context, target = n_reordered_requests[pos]
        return self._rows(len(context) + len(target))

    def _detect_batch_size(self, requests: Sequence[Any] | None = None, pos: int = 0) -> int:
        return self._rows(self.max_length)  # of windows of the whole context

    def _rows(self, length: int) -> int:
        tokens = TOKENS_PER_BATCH.get(self.device.type, MOST_TOKENS)
        logits = LOGITS_PER_BATCH.get(self.device.type, MOST_LOGITS)
        return max(1, min(tokens, logits // self.model.config.get_text_config().vocab_size) // length)
