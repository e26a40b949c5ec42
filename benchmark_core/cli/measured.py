"""What a record measured, as one number, and the records of the cells that coordinates name."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..board.cells import COORDINATES, Reader, Seed, kind_of, rule_of
from ..board.formats import Interval, count, plural, show_interval, significant
from ..board.scores import Scores
from ..errors import RobexError, did_you_mean
from ..spec import MetricSpec
from ..store.cells import cells_in
from .options import command_line

if TYPE_CHECKING:
    from ..registry import Registry
    from ..store import Store

#: Coordinates that choose cells, in the order in which they are shown.
CHOOSES = (*COORDINATES, "metric", "seed")
MOST_LISTED = 50


def keys_are_at(store: str) -> str:
    """Where the keys of a store are found."""
    lists = command_line("robex", "show", "--metric", "NAME", store=store)
    table = command_line("robex", "table", "--format", "csv", store=store)
    return f"keys: {lists} lists those of a metric, {table} and the report's drawer have all"


# --- one number ----------------------------------------------------------------------------------------


def value_of(store: Store, record: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """The number of a measured record. Raises DamagedNode."""
    tensors = store.tensors(record["key"], record, numpy=True)
    scores = Scores([tensors["values"]], [tensors.get("valid")], len(tensors["values"]))
    return number(_about(store, record, registry), scores)


def number(about: Mapping[str, Any], scores: Scores) -> dict[str, Any]:
    """The number that the scores of one seed make, in the unit that boards show; about: a manifest's
    metric.

    value None: not all are numbers, or none is valid. n: samples. counts: of how many the score is 1, of 0/1
    scores. valid: on how many it is defined, where that is asked.
    """
    from ..board.statistics import estimate_rows

    rule = rule_of(about)
    row = rule.applied(scores)
    kind = kind_of(about, [row])
    found = estimate_rows([row], kind, quantile=rule.quantile, infinite=rule.infinite)[0]
    percent = about["unit"] == "%"
    value, values, valid = found.value, row.values[0], row.valid[0]
    assert values is not None
    return {
        "metric": about["name"],
        "value": value if value is None else (100.0 if percent else 1.0) * value,
        "unit": about["unit"],
        "average": "none" if kind == "set" else about.get("average", "mean"),
        "n": row.samples,
        "counts": int(values.sum()) if kind == "bernoulli" and value is not None else None,
        "valid": int(valid.sum()) if kind == "conditional" and valid is not None else None,
        "not_numbers": found.not_numbers,
    }


def value_text(found: Mapping[str, Any], *, short: bool = False) -> str:
    """`79.5 % robust-accuracy, 159 of 200 samples`; short: the number and its unit."""
    n, valid = found["n"], found["valid"]
    if found["value"] is None:
        text = f"NaN ({count(found['not_numbers'])})" if found["not_numbers"] else "none valid"
    else:
        text = f"{show_interval(Interval(found['value']))} {found['unit']}".strip()
    if short:
        return text
    text += f" {found['metric']}"
    if found["average"] == "none":
        return f"{text}, one number for the whole set"
    if found["value"] is None:
        return f"{text}, {plural(n, 'sample')}"
    if found["counts"] is not None:
        return f"{text}, {count(found['counts'])} of {plural(n, 'sample')}"
    if valid is not None:
        share = significant(100 * valid / n)
        return f"{text}, {found['average']} of {count(valid)} valid of {plural(n, 'sample')} ({share} %)"
    return f"{text}, {found['average']} of {plural(n, 'sample')}"


def _about(store: Store, record: Mapping[str, Any], registry: Registry) -> Mapping[str, Any]:
    """What a suite that measured it says of its metric, else the method itself."""
    label = record["where"].get("metric", "")
    name = record["identity"].get("method", {}).get("name")
    made_by, known = record.get("suite", {}).get("name"), store.suites()
    for suite in sorted(known, key=lambda suite: suite != made_by):
        about = store.suite(suite)["metrics"].get(label)
        if about is not None and about["name"] == name:
            return {**about, "name": label}
    for spec in registry.methods():
        if isinstance(spec, MetricSpec) and spec.name == name:
            return {"name": label, "unit": spec.unit, "scores": spec.scores}
    raise RobexError(f"no suite of the store says what {label} is; load its plugin with --plugin")


# --- cells by their coordinates ------------------------------------------------------------------------


def records_at(
    store: Store, wanted: Mapping[str, str | int], suites: Iterable[str], most: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """The records of the cells that have these coordinates, the first `most` of them (suite, at, key, state
    and value), and how many there are. Raises RobexError where there are none."""
    found: list[dict[str, Any]] = []
    labels: dict[str, dict[str, None]] = {}
    total = 0
    for suite in suites:
        manifest = store.suite(suite)
        for kind in (*COORDINATES[:-1], "metric"):
            labels.setdefault(kind, {}).update(dict.fromkeys(manifest["labels"].get(kind, ())))
        cells = [
            (at, Seed(at["seed"], key, selection))
            for at, key, selection, _ in cells_in(manifest).listed()
            if wanted.items() <= at.items()
        ]
        total += len(cells)
        cells = cells if most is None else cells[: most - len(found)]
        reader = Reader(store)
        reader.fetch(seed for _, seed in cells)
        for at, seed in cells:
            found.append(
                {"suite": suite, "at": _ordered(at), "key": seed.key, **_read(reader, manifest, at, seed)}
            )
    if not found:
        raise RobexError(_nothing(store, wanted, labels))
    return found, total


def _read(reader: Reader, manifest: Mapping[str, Any], at: Mapping[str, Any], seed: Seed) -> dict[str, Any]:
    assert reader.store is not None
    if not reader.store.has(seed.key):
        return {
            "state": "not measured" if reader.store.failure(seed.key) is None else "failed",
            "value": None,
        }
    scores = reader.scores([seed])
    if scores.values[0] is None:
        return {"state": "damaged", "value": None}
    scores = Scores(scores.values, scores.valid, len(scores.values[0]))
    about = {**manifest["metrics"][at["metric"]], "name": at["metric"]}
    return {"state": "measured", "value": number(about, scores)}


def _ordered(at: Mapping[str, Any]) -> dict[str, Any]:
    return {c: at[c] for c in CHOOSES if c in at}


def _nothing(store: Store, wanted: Mapping[str, Any], labels: Mapping[str, Iterable[str]]) -> str:
    for kind, label in wanted.items():
        known = list(labels.get("attack" if kind == "on" else kind, ()))
        if kind != "seed" and label not in known and (kind, label) != ("on", "clean"):
            hint = did_you_mean(str(label), known) or f"; it has {', '.join(known) or 'none'}"
            return f'{store.path}: no {kind} is called "{label}"{hint}'
    asked = shlex.join(word for kind, label in wanted.items() for word in (f"--{kind}", str(label)))
    return f"{store.path}: no cell has {asked}; leave one out to see what there is"


def table_of(found: list[dict[str, Any]]) -> Iterator[list[str]]:
    """A line each: coordinates, value and key. Suites stand there where they are several."""
    several = len({one["suite"] for one in found}) > 1
    names = [c for c in CHOOSES if any(c in one["at"] for one in found)]
    yield [*(["suite"] if several else []), *names, "value", "key"]
    for one in found:
        value = one["state"] if one["value"] is None else value_text(one["value"], short=True)
        suite = [one["suite"]] if several else []
        yield [*suite, *(str(one["at"].get(c, "")) for c in names), value, one["key"][:12]]
