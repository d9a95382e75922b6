"""Build the six small language models and the small BERT that ship with Qingting.

See docs/how-to/build-small-models.md. In short::

    python scripts/build_small_models.py prepare --data DATA
    python scripts/build_small_models.py train --data DATA --until-cpu-seconds 900
    python scripts/build_small_models.py decay --data DATA
    python scripts/build_small_models.py encoder --data DATA
    python scripts/build_small_models.py status
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from small_models.cards import write_card
from small_models.corpus import (
    COUNSELLOR_PROMPT,
    CPSYCOUND,
    EMOLLM_AIWEI,
    EMOLLM_DATA,
    Corpus,
    pretraining_record,
    read_corpus,
)
from small_models.encoder import (
    EncoderRecipe,
    export_encoder,
    measure_encoder,
    prepare_encoder,
    train_encoder,
    write_encoder_card,
)
from small_models.tokenization import (
    save_configs,
    save_tokenizer,
    tokenizer_texts,
    train_tokenizer,
)
from small_models.training import (
    Recipe,
    Trainer,
    bits_per_byte,
    export_weights,
    greedy_answer,
    load_trainer,
    n_decay_steps,
    save_checkpoint,
    train,
)

from qingting.core.dialogue import Message
from qingting.core.errors import QingtingError
from qingting.models.tiny.architectures import TINY_FAMILIES, TinyFamily

RECORD_NAME = "pretraining.json"
N_EVALUATED = 60  # held-out dialogues per source
SAMPLE_QUESTIONS = (
    "我最近总是睡不着，工作压力很大，不知道该怎么办。",
    "我和妈妈又吵架了，她总是拿我和别人比，我觉得很委屈。",
    "I feel tired and anxious, and I can't sleep.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    _take_one_thread()
    try:
        options.command(options)
    except QingtingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def prepare(options: argparse.Namespace) -> None:
    """Write the record of pre-training and each model's tokenizer and configuration."""
    corpus = read_corpus(options.data)
    record = pretraining_record(corpus)
    record.save(next(iter(TINY_FAMILIES.values())).folder.parent / RECORD_NAME)
    for source in record.sources:
        print(f"{source.name}: {source.n_held_out} of {source.n_dialogues} dialogues kept back")
    texts = list(tokenizer_texts(corpus))
    for family in _families(options):
        save_tokenizer(family, train_tokenizer(family, texts))
        save_configs(family)
        print(f"{family.name}: tokenizer and configuration written")


def train_rounds(options: argparse.Namespace) -> None:
    """Train the stable phase, one chunk per model in turn, so that all advance alike."""
    corpus = read_corpus(options.data)
    families = _families(options)
    while families:
        unfinished = []
        for family in families:
            trainer = load_trainer(family, Recipe(), _checkpoint(options, family))
            wanted = options.until_cpu_seconds
            until = min(trainer.cpu_seconds + options.chunk_seconds, wanted)
            losses = []
            for loss in train(
                trainer, corpus, until_step=options.until_step, until_cpu_seconds=until
            ):
                losses.append(loss)
                if trainer.step % 20 == 0:
                    _log(trainer, sum(losses[-20:]) / len(losses[-20:]))
            if losses:
                save_checkpoint(trainer, _checkpoint(options, family))
            reached_step = options.until_step is not None and trainer.step >= options.until_step
            if losses and trainer.cpu_seconds < wanted and not reached_step:
                unfinished.append(family)
        families = unfinished


def decay(options: argparse.Namespace) -> None:
    """Decay a copy of each checkpoint, export the weights, measure them and write the cards."""
    corpus = read_corpus(options.data)
    for family in _families(options):
        trainer = load_trainer(family, Recipe(), _checkpoint(options, family))
        last = trainer.step + n_decay_steps(trainer)
        for loss in train(trainer, corpus, until_step=last, decay=True):
            if trainer.step % 20 == 0:
                _log(trainer, loss)
        export_weights(trainer)
        figures = measure(trainer, corpus)
        write_card(family, figures, corpus, prompt=COUNSELLOR_PROMPT, n_evaluated=N_EVALUATED)
        print(json.dumps(figures, ensure_ascii=False, indent=1), flush=True)


def encoder(options: argparse.Namespace) -> None:
    """Build the small BERT: tokenizer, masked language modelling, weights, figures, card."""
    corpus = read_corpus(options.data)
    prepare_encoder(corpus)
    model, figures = train_encoder(corpus, EncoderRecipe(), cpu_seconds=options.until_cpu_seconds)
    export_encoder(model)
    held_out = measure_encoder(model, corpus)
    write_encoder_card(figures, held_out, corpus)
    print(json.dumps(figures | {"held_out": held_out}, ensure_ascii=False, indent=1), flush=True)


def measure(trainer: Trainer, corpus: Corpus) -> dict[str, Any]:
    """Return bits per byte on what was kept back, and greedy answers."""
    prompt = Message("system", COUNSELLOR_PROMPT)
    held_out = {
        source.name: round(
            bits_per_byte(
                trainer,
                [
                    (prompt, *dialogue.turns)
                    for dialogue in corpus.part(source, held_out=True)[:N_EVALUATED]
                ],
            ),
            3,
        )
        for source in (CPSYCOUND, EMOLLM_DATA, EMOLLM_AIWEI)
    }
    return {
        "model": trainer.family.name,
        "architecture": type(trainer.model).__name__,
        "n_parameters": trainer.model.num_parameters(),
        "n_steps": trainer.step,
        "cpu_seconds": round(trainer.cpu_seconds),
        "bits_per_byte": held_out,
        "answers": {
            question: greedy_answer(trainer, [prompt, Message("user", question)])
            for question in SAMPLE_QUESTIONS
        },
        "recipe": asdict(trainer.recipe),
    }


def status(options: argparse.Namespace) -> None:
    """Print how far each model's stable phase is."""
    for family in _families(options):
        path = _checkpoint(options, family)
        if path.is_file():
            trainer = load_trainer(family, Recipe(), path)
            print(f"{family.name}: step {trainer.step}, {trainer.cpu_seconds:.0f} CPU-seconds")
        else:
            print(f"{family.name}: not begun")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for name, function in {
        "prepare": prepare,
        "train": train_rounds,
        "decay": decay,
        "encoder": encoder,
        "status": status,
    }.items():
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.set_defaults(command=function)
        command.add_argument("--models", nargs="+", choices=list(TINY_FAMILIES), metavar="NAME")
        command.add_argument("--work", type=Path, default=Path("build/small-models"))
        if name != "status":
            command.add_argument("--data", type=Path, required=True)
        if name == "train":
            command.add_argument("--until-step", type=int)
            command.add_argument("--until-cpu-seconds", type=float, default=float("inf"))
            command.add_argument("--chunk-seconds", type=float, default=180.0)
        if name == "encoder":
            command.add_argument("--until-cpu-seconds", type=float, default=900.0)
    return parser


def _families(options: argparse.Namespace) -> list[TinyFamily]:
    return [TINY_FAMILIES[name] for name in options.models or TINY_FAMILIES]


def _checkpoint(options: argparse.Namespace, family: TinyFamily) -> Path:
    work: Path = options.work
    return work / f"{family.name}.pt"


def _log(trainer: Trainer, loss: float) -> None:
    clock = time.strftime("%H:%M:%S")
    seconds = f"{trainer.cpu_seconds:.0f} CPU-s"
    print(
        f"{clock} {trainer.family.name} step {trainer.step} epoch {trainer.epoch} "
        f"loss {loss:.4f} {seconds}",
        flush=True,
    )


def _take_one_thread() -> None:
    """Keep every library to one thread; it must come before they are imported."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


if __name__ == "__main__":
    sys.exit(main())
