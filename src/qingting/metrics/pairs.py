"""Hypotheses with their references, tokenized once for all metrics."""

from __future__ import annotations

from collections.abc import Sequence

from qingting.core.missing import Missing
from qingting.metrics.ngrams import Encoder, NgramMatches, TokenPairs, match_ngrams

NO_REFERENCE = "the reference is empty"


class TextPairs:
    """Equally many hypotheses and references, with tokens and n-gram counts kept once computed.

    An absent hypothesis or reference is a ``Missing``; the item then has no score and keeps that
    reason. An *empty* hypothesis is a reply like any other: it matches nothing. An *empty*
    reference (no token in it) leaves nothing to compare with, so overlap is undefined.

    ``tokenizer`` is a name from ``tokenize.tokenizer_name``.
    """

    def __init__(
        self,
        hypotheses: Sequence[str | Missing],
        references: Sequence[str | Missing] | None,
        *,
        tokenizer: str,
    ) -> None:
        n_items = len(hypotheses)
        references = [""] * n_items if references is None else references
        if len(references) != n_items:
            raise ValueError(f"{n_items} hypotheses but {len(references)} references")
        self.tokenizer = tokenizer
        self.n_items = n_items
        self.hypotheses = ["" if isinstance(text, Missing) else text for text in hypotheses]
        self.references = ["" if isinstance(text, Missing) else text for text in references]
        self.missing_hypotheses = _reasons(hypotheses)
        self._missing_references = _reasons(references)
        self._encoders: dict[str, Encoder] = {}
        self._tokens: dict[str, TokenPairs] = {}
        self._matches: dict[str, NgramMatches] = {}
        self._lowered: tuple[list[str], list[str]] | None = None

    def tokens(self, case: str, *, tokenizer: str | None = None) -> TokenPairs:
        """Return the tokens; ``case`` is ``"mixed"`` (as written) or ``"lower"``."""
        key = self._key(case, tokenizer)
        if key not in self._tokens:
            hyps, refs = self._texts(case)
            name = tokenizer or self.tokenizer
            encoder = self._encoders.setdefault(name, Encoder(name))
            self._tokens[key] = encoder.encode(hyps, refs)
        return self._tokens[key]

    def matches(self, case: str, *, n_max: int, tokenizer: str | None = None) -> NgramMatches:
        """Return clipped n-gram matches for orders 1 … ``n_max``."""
        key = self._key(case, tokenizer)
        known = self._matches.get(key)
        if known is None or known.matched.shape[1] < n_max:
            known = match_ngrams(self.tokens(case, tokenizer=tokenizer), n_max=n_max)
            self._matches[key] = known
        return NgramMatches(*(counts[:, :n_max] for counts in known))

    def overlap_reasons(self, *, tokenizer: str | None = None) -> dict[int, str]:
        """Return why items cannot be compared with a reference, by item index."""
        lengths = self.tokens("mixed", tokenizer=tokenizer).references.lengths
        empty = {int(index): NO_REFERENCE for index in (lengths == 0).nonzero()[0]}
        return {**empty, **self._missing_references, **self.missing_hypotheses}

    def _texts(self, case: str) -> tuple[list[str], list[str]]:
        if case == "mixed":
            return self.hypotheses, self.references
        if self._lowered is None:
            self._lowered = (
                [text.lower() for text in self.hypotheses],
                [text.lower() for text in self.references],
            )
        return self._lowered

    def _key(self, case: str, tokenizer: str | None) -> str:
        # Most Chinese text has no case; it is then tokenized and counted once, not twice.
        if case == "lower" and self._texts("lower") == (self.hypotheses, self.references):
            case = "mixed"
        return f"{case}|{tokenizer or self.tokenizer}"


def _reasons(texts: Sequence[str | Missing]) -> dict[int, str]:
    return {index: text.reason for index, text in enumerate(texts) if isinstance(text, Missing)}
