"""``qingting models plan``: memory and time of a model before anything is downloaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from qingting.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qingting.models.device_plan import PlanRow, Serving
    from qingting.models.memory import TrainingSetup
    from qingting.spec.recipe import Recipe


class _Candidate(NamedTuple):
    label: str
    config: Mapping[str, Any]
    recipe: Recipe | None


def plan(
    model: Annotated[
        str,
        typer.Argument(
            metavar="SPEC|NAME",
            help="An experiment file, a card's or small model's name, a model folder or config.json.",
        ),
    ],
    gpu: Annotated[str | None, typer.Option(help="Name of a GPU, such as H100-80GB.")] = None,
    gpu_memory_gib: Annotated[
        float | None, typer.Option(help="Memory of another GPU, in GiB.", min=0.1)
    ] = None,
    method: Annotated[
        Literal["lora", "qlora", "full"] | None,
        typer.Option(help="One way to train. [default: the recipe's, or all three]"),
    ] = None,
    micro_batch: Annotated[int, typer.Option(help="Rows in one forward pass.", min=1)] = 1,
    length: Annotated[
        int | None, typer.Option(help="Tokens of a row. [default: the recipe's, or 3072]", min=1)
    ] = None,
    lora_rank: Annotated[int, typer.Option(help="Rank of the adapters.", min=1)] = 8,
    lora_dropout: Annotated[float, typer.Option(help="Their dropout.", min=0.0, max=0.99)] = 0.1,
    logits: Annotated[
        Literal["chunked", "full"],
        typer.Option(help="As this package's trainer computes the loss, or as transformers does."),
    ] = "chunked",
    concurrency: Annotated[int, typer.Option(help="Dialogues served at a time.", min=1)] = 8,
    context: Annotated[int, typer.Option(help="Tokens of each of them.", min=1)] = 4096,
    epoch_tokens: Annotated[int, typer.Option(help="Tokens of an epoch.", min=1)] = 10_000_000,
    explain: Annotated[bool, typer.Option("--explain", help="Show each part and why.")] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Also count training exactly, over fake tensors.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict memory and time of training and serving before anything is downloaded.

    Memory is what tensors take at the peak, plus a margin for the CUDA context and fragmentation;
    the range is that margin's. Rates assume 25 to 55% of the GPU's peak in training.
    """
    from qingting.core.errors import SpecificationError
    from qingting.models.device_plan import METHODS, Serving, plan_uses
    from qingting.models.devices import find_device
    from qingting.models.memory import TrainingSetup

    device = find_device(gpu) if gpu is not None else None
    if device is not None and gpu_memory_gib is not None:
        raise SpecificationError("give --gpu or --gpu-memory-gib, not both")
    memory_gib = device.memory_gib if device is not None else gpu_memory_gib
    serving = Serving(concurrency, context)
    base = TrainingSetup(
        micro_batch=micro_batch,
        length=length or 3072,
        logits=logits,
        lora_rank=lora_rank,
        lora_dropout=lora_dropout,
    )
    results = []
    for candidate in _candidates(model):
        setup, methods = base, METHODS if method is None else (method,)
        if candidate.recipe is not None:
            setup = _setup_of(candidate.recipe, base, length)
            methods = methods if method is not None else (candidate.recipe.method,)
        is_known = is_planned(candidate.config)
        if not is_known:  # plain text models: what they can see, and no 4-bit layers
            setup = replace(setup, length=min(setup.length, _positions(candidate.config)))
            if method == "qlora":
                raise SpecificationError(
                    f"{candidate.label}: 4-bit training is planned for dialogue models only; "
                    "ask for --method lora or full"
                )
            methods = tuple(one for one in methods if one != "qlora")
        rows = plan_uses(
            candidate.config,
            setup,
            serving,
            methods=methods,
            memory_gib=memory_gib,
            device=device if is_known else None,
        )
        if not is_known:
            rows = [_counted(candidate.config, row, memory_gib) for row in rows]
        traced = _traces(candidate.config, rows) if trace and is_known else {}
        results.append((candidate, rows, traced))
    if as_json:
        _print_json(results, epoch_tokens, serving, device, memory_gib)
        return
    for candidate, rows, traced in results:
        _print(candidate, rows, traced, epoch_tokens, explain=explain)
    if device is not None:
        typer.echo(
            f"{device.name}: {device.memory_gib:g} GiB, {device.bf16_tflops:g} TFLOP/s bf16, "
            f"{device.bandwidth_gb_s:g} GB/s ({device.source})"
        )
    if explain:
        _print_assumptions(serving)


def _candidates(reference: str) -> Iterator[_Candidate]:
    """Yield what ``reference`` names: the models of an experiment, or one model."""
    from qingting.core.errors import SpecificationError
    from qingting.models.resolve import read_config

    path = Path(reference).expanduser()
    if path.suffix in (".yaml", ".yml"):
        from qingting.planning.arms import arms_of
        from qingting.spec.load import load_experiment

        experiment = load_experiment(path)
        if experiment.task != "dialogue":
            raise SpecificationError(f"{path}: only dialogue experiments are planned for so far")
        seen = set()
        for arm in arms_of(experiment):
            if arm.variant == "tuned" and arm.model.label not in seen:
                seen.add(arm.model.label)
                config = _config_of(arm.model.model, path.parent)
                yield _Candidate(arm.model.label, config, arm.recipe)
    elif path.name == "config.json" and path.is_file():
        yield _Candidate(reference, read_config(path.parent), None)
    else:
        yield _Candidate(reference, _config_of(reference, Path.cwd()), None)


def _config_of(reference: str, base: Path) -> Mapping[str, Any]:
    """Return the configuration of a card, a model that ships, a folder or a fetched model."""
    from qingting.models.memory_sources import read_architecture

    return read_architecture(reference, base=base)


def _setup_of(recipe: Recipe, base: TrainingSetup, length: int | None) -> TrainingSetup:
    return replace(
        base,
        micro_batch=base.micro_batch if recipe.micro_batch == "auto" else recipe.micro_batch,
        length=length or recipe.max_length,
        lora_rank=recipe.lora.rank,
        lora_dropout=recipe.lora.dropout,
        precision="fp32" if recipe.precision == "fp32" else "bf16",
    )


def is_planned(config: Mapping[str, Any]) -> bool:
    """Return whether there is a closed form for an architecture."""
    from qingting.models.memory import PLANNED_KINDS

    return config.get("model_type") in PLANNED_KINDS


def _positions(config: Mapping[str, Any]) -> int:
    from qingting.models.memory import shape_of

    return shape_of(config).context_length


def _counted(config: Mapping[str, Any], row: PlanRow, memory_gib: float | None) -> PlanRow:
    """Return a row of a model without closed form: training is counted over fake tensors."""
    from qingting.engines.native.memory_trace import trace_training
    from qingting.models.memory_plan import verdict

    if row.setup is None:
        return row
    estimate = trace_training(config, row.setup).to_estimate()
    fits = None
    if memory_gib is not None:
        fits = verdict(estimate.low_gib, estimate.peak_gib, estimate.high_gib, memory_gib)
    return replace(row, estimate=estimate, fits=fits, largest_micro_batch=None)


def _traces(config: Mapping[str, Any], rows: list[PlanRow]) -> dict[str, float]:
    """Return the exactly counted peak, in GiB, of each way to train but QLoRA."""
    from qingting.engines.native.memory_trace import trace_training

    return {
        row.use: trace_training(config, row.setup).peak_gib
        for row in rows
        if row.setup is not None and row.setup.method != "qlora"
    }


def _print(
    candidate: _Candidate,
    rows: list[PlanRow],
    traced: dict[str, float],
    n_tokens: int,
    *,
    explain: bool,
) -> None:
    from qingting.models.memory import count_parameters

    counts = count_parameters(candidate.config)
    total = _count(counts.total)
    active = f", {_count(counts.active)} active" if counts.active != counts.total else ""
    typer.echo(f"{candidate.label}: {total} parameters{active}")
    setup = next(row.setup for row in rows if row.setup is not None)
    typer.echo(
        f"rows of {setup.length} tokens, micro-batch {setup.micro_batch}, {setup.logits} logits; "
        f"hours for {n_tokens:,} tokens"
    )
    heads = ("use", "peak GiB", "range", "fits", "largest", "tokens/s", "hours")
    lines = [heads, *(_cells(row, n_tokens) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for line in lines:
        cells = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        typer.echo("  ".join(cells).rstrip())
    if not is_planned(candidate.config):
        typer.echo("training is counted over fake tensors; no closed form for this architecture")
    for use, peak in traced.items():
        row = next(row for row in rows if row.use == use)
        off = row.estimate.allocated_gib / peak - 1
        typer.echo(f"traced {use}: {peak:.2f} GiB allocated; the closed form is off by {off:+.1%}")
    if explain:
        for row in rows:
            _print_parts(row)
    typer.echo("")


def _count(n: int) -> str:
    return f"{n / 1e9:.2f} B" if n >= 1e9 else f"{n / 1e6:.1f} M"


def _cells(row: PlanRow, n_tokens: int) -> tuple[str, ...]:
    estimate, hours = row.estimate, row.hours(n_tokens) if row.setup else None
    rate = row.tokens_per_s
    return (
        row.use,
        f"{estimate.peak_gib:.1f}",
        f"{estimate.low_gib:.1f}–{estimate.high_gib:.1f}",
        row.fits or "–",
        "–" if row.largest_micro_batch is None else str(row.largest_micro_batch),
        f"{rate.middle:,.0f} ({rate.low:,.0f}–{rate.high:,.0f})" if rate else "–",
        f"{hours.middle:.1f} ({hours.low:.1f}–{hours.high:.1f})" if hours else "–",
    )


def _print_parts(row: PlanRow) -> None:
    estimate = row.estimate
    parts = {
        "weights": estimate.weights,
        "adapters": estimate.adapters,
        "gradients": estimate.gradients,
        "optimiser": estimate.optimiser,
        "activations": estimate.activations,
        "logits": estimate.logits,
        "KV cache": estimate.kv_cache,
    }
    shown = ", ".join(f"{name} {n / 2**30:.2f}" for name, n in parts.items() if n)
    typer.echo(f"{row.use}, peak at {estimate.moment}: {shown}, margin {estimate.margin_gib:.2f}")


def _print_assumptions(serving: Serving) -> None:
    from qingting.models.devices import BANDWIDTH_USE, MFU
    from qingting.models.memory import CUDA_CONTEXT_GIB, FRAGMENTATION

    for line in (
        f"margin: {CUDA_CONTEXT_GIB} GiB for the CUDA context and libraries, and "
        f"{FRAGMENTATION[0]:.0%} / {FRAGMENTATION[1]:.0%} / {FRAGMENTATION[2]:.0%} of the rest for "
        "fragmentation (assumed); fits: yes within the upper end, tight within the middle",
        f"training rate: {MFU[0]:.0%} / {MFU[1]:.0%} / {MFU[2]:.0%} of the peak (assumed); "
        f"decoding: {BANDWIDTH_USE[0]:.0%} to {BANDWIDTH_USE[2]:.0%} of the bandwidth (assumed)",
        f"serving: {serving.concurrency} dialogues of {serving.context_length} tokens, cache in "
        "bf16; a server that reserves memory ahead takes all it is given",
        "moments of a trained weight take 8 bytes, its gradient 4; QLoRA is not traced",
    ):
        typer.echo(line)


def _print_json(
    results: list[tuple[_Candidate, list[PlanRow], dict[str, float]]],
    n_tokens: int,
    serving: Serving,
    device: Any,
    memory_gib: float | None,
) -> None:
    from qingting.models.memory import count_parameters

    record = {
        "device": device._asdict() if device else None,
        "memory_gib": memory_gib,
        "serving": serving._asdict(),
        "models": [
            {
                "model": candidate.label,
                "n_parameters": count_parameters(candidate.config).total,
                "n_active_parameters": count_parameters(candidate.config).active,
                "uses": [
                    row.to_record(n_tokens) | {"traced_gib": traced.get(row.use)} for row in rows
                ],
            }
            for candidate, rows, traced in results
        ],
    }
    print_json(record)
