"""What the store knows about the cells of a suite: which records made a number, when, where, at what cost,
and why a number is missing. Reads every record at most once.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...store import DamagedNode, Store
from ...store.cells import cells_in
from ...store.index import Index
from ...store.shapes import Misshapen, check_record
from ..formats import count, duration, plural, size
from ..model import Cell

SHORT = 12  # characters of a key that the page shows and that `--only` takes


@dataclass(frozen=True)
class Seed:
    """One seed of a cell: the keys of its scores, of its samples and of the result that was scored."""

    seed: int
    key: str
    selection: str
    result: str


@dataclass(frozen=True)
class Origin:
    """How the results behind a number were made, in words."""

    dataset: str
    ran: str
    passes: str
    versions: str


class Facts:
    """The records of one suite."""

    def __init__(self, store: Store, manifest: Mapping[str, Any]) -> None:
        self.store, self.manifest = store, manifest
        self._records: dict[str, dict[str, Any] | None] = {}
        self._whole: dict[str, bool] = {}
        self.cells: dict[frozenset[tuple[str, str]], list[Seed]] = {}
        for at, key, selection, result in cells_in(manifest).listed():
            place = frozenset((c, label) for c, label in at.items() if c != "seed")
            self.cells.setdefault(place, []).append(Seed(at["seed"], key, selection, result))
        for seeds in self.cells.values():
            seeds.sort(key=lambda s: s.seed)
        self._by_key = {s.key: s for seeds in self.cells.values() for s in seeds}

    def seeds(self, at: Mapping[str, str], metric: str, cell: Cell) -> list[Seed]:
        """The seeds behind a cell: those that it names, else those at its coordinates."""
        if cell.keys:
            return [self._by_key[key] for key in cell.keys if key in self._by_key]
        return self.cells.get(frozenset({**at, "metric": metric}.items()), [])

    def record(self, key: str) -> dict[str, Any]:
        """The record, empty where it is missing or damaged (the board says so)."""
        if key not in self._records:
            try:
                self._records[key] = self.store.record(key) if self.store.has(key) else None
            except DamagedNode:
                self._records[key] = None
        return self._records[key] or {}

    def _is_whole(self, record: Mapping[str, Any]) -> bool:
        """Whether it says all that a run writes: what somebody else has written may not. Many cells ask of
        one record."""
        key = record.get("key", "")
        if key not in self._whole:
            try:
                check_record(record, whole=True)
                self._whole[key] = True
            except Misshapen:
                self._whole[key] = False
        return self._whole[key]

    # -- one number --

    def origin(self, seeds: Iterable[Seed]) -> Origin:
        seeds = list(seeds)
        made = [r for s in seeds if self._is_whole(r := self.record(s.result))]
        selections = [self.record(s.selection) for s in seeds]
        wishes = dict.fromkeys(_wish(s) for s in selections if s)
        return Origin("; ".join(filter(None, wishes)), _ran(made), _passes(made), _versions(made))

    def missing(self, at: Mapping[str, str], seeds: Iterable[Seed]) -> str:
        """Why a cell has no number: `timeout after ...`, or `not run yet`."""
        words = Counter(self._why(at, s) for s in seeds if not self.store.has(s.key))
        return "; ".join(f"{plural(n, 'seed')}: {why}" for why, n in words.items())

    def word(self, at: Mapping[str, str], seeds: Iterable[Seed]) -> str:
        """The same in one or two words, for a map."""
        for seed in seeds:
            if not self.store.has(seed.key):
                failure = self._failure(at, seed)
                return failure["reason"] if failure else "not run"
        return ""

    def _why(self, at: Mapping[str, str], seed: Seed) -> str:
        failure = self._failure(at, seed)
        return f"{failure['reason']}: {failure['message']}" if failure else "not run yet"

    def _failure(self, at: Mapping[str, str], seed: Seed) -> Mapping[str, Any] | None:
        """What stopped a cell: a failure of its own, of what it is made from, or of something above it."""
        for key in (seed.key, seed.result, seed.selection):
            if key in self._failures:
                return self._failures[key]
        here = {**at, "seed": seed.seed}.items()
        for failure in self._failures.values():
            if (
                failure["stage"] in ("load", "train", "prepare", "select")
                and failure["where"].items() <= here
            ):
                return failure
        return None

    @cached_property
    def _failures(self) -> dict[str, Mapping[str, Any]]:
        folder = self.store.path / "failures"
        found = ((p.stem, self.store.failure(p.stem)) for p in sorted(folder.glob("*.json")))
        return {key: f for key, f in found if f is not None and not self.store.has(key)}

    # -- the whole suite --

    @cached_property
    def done(self) -> int:
        return sum(self.store.has(s.key) for seeds in self.cells.values() for s in seeds)

    @cached_property
    def total(self) -> int:
        return sum(map(len, self.cells.values()))

    @cached_property
    def results(self) -> list[dict[str, Any]]:
        """Records of everything that numbers were made from, by key: results, models, datasets, states."""
        found: dict[str, dict[str, Any]] = {}
        keys = {k for seeds in self.cells.values() for s in seeds for k in (s.result, s.selection)}
        while keys:
            for key in sorted(keys):
                if record := self.record(key):
                    found[key] = record
            keys = {k for r in found.values() for k in r.get("inputs", {}).values()} - found.keys()
            keys = {k for k in keys if self.record(k)}
        return [found[key] for key in sorted(found)]

    @cached_property
    def newest(self) -> dict[str, Any]:
        """The record that was made last; empty when there is none."""
        return max(self.results, key=lambda r: (r.get("created", ""), r["key"]), default={})

    @cached_property
    def devices(self) -> list[str]:
        return [name for name, _ in _ranked(_device(r) for r in self.results)]

    def provenance(self) -> Iterator[tuple[str, str]]:
        """(what, value) lines about versions, plugins, git, hardware and cost; empty without records."""
        records = list(filter(self._is_whole, self.results))
        if not records:
            return
        environments = [r["environment"] for r in records]
        yield "versions", "; ".join(text for text, _ in _ranked(map(_packages, records)))
        yield "python", "; ".join(text for text, _ in _ranked(e["python"] for e in environments))
        plugins = _ranked(
            "{name} {version} ({distribution})".format(**r["plugin"]) for r in records if r.get("plugin")
        )
        yield "plugins", "; ".join(text for text, _ in plugins)
        yield "git", "; ".join(text for text, _ in _ranked(_git(e.get("git")) for e in environments))
        machines = _ranked(f"{_device(r)}, {r['environment']['platform']}" for r in records)
        yield "hardware", "; ".join(text for text, _ in machines)
        dates = sorted(r["created"] for r in records)
        yield "made", " to ".join(dict.fromkeys((_date(dates[0]), _date(dates[-1]))))
        yield "compute", self._compute(records)

    def _compute(self, records: list[dict[str, Any]]) -> str:
        index = Index(self.store)
        mine = {r["key"] for r in records} | {s.key for seeds in self.cells.values() for s in seeds}
        seconds: dict[str, float] = {}
        for row in index.rows():
            if row.key in mine:
                seconds[row.stage] = seconds.get(row.stage, 0.0) + row.seconds
        index.close()
        stages = ", ".join(f"{stage} {duration(s)}" for stage, s in sorted(seconds.items(), key=_largest))
        forward = sum(r["cost"]["forward"] for r in records)
        backward = sum(r["cost"]["backward"] for r in records)
        return (
            f"{duration(sum(seconds.values()))} of work ({stages}); {count(forward)} forward and "
            f"{count(backward)} backward passes; at most {size(max(r['peak_memory'] for r in records))}"
        )


def _wish(selection: Mapping[str, Any]) -> str:
    """`all test samples`, `100 correct test samples (seeded shuffle), random targets`."""
    wish = selection.get("identity", {}).get("wish", {})
    if not wish:
        return ""
    kind = "" if wish.get("select", "all") == "all" else f"{wish['select']} "
    some = f"{count(wish['samples'])} {kind}test samples (seeded shuffle)" if wish.get("samples") else ""
    samples = some or f"all {kind}test samples"
    targets = wish.get("targets", "none")
    return samples if targets in (None, "none") else f"{samples}, {targets} targets"


def _ran(made: list[dict[str, Any]]) -> str:
    if not made:
        return ""
    seconds = [r["cost"]["seconds"] for r in made]
    times = duration(statistics.fmean(seconds)) + (" a seed" if len(seconds) > 1 else "")
    devices = ", ".join(name for name, _ in _ranked(map(_device, made)))
    memory = size(max(r["peak_memory"] for r in made))
    return f"{_date(max(r['created'] for r in made))}, {times}, {devices}, {memory} peak"


def _passes(made: list[dict[str, Any]]) -> str:
    samples = sum(r["cost"]["samples"] for r in made)
    if not samples:
        return ""
    forward, backward = (sum(r["cost"][k] for r in made) / samples for k in ("forward", "backward"))
    return f"{_bare(forward)} forward, {_bare(backward)} backward a sample"


def _bare(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def _packages(record: Mapping[str, Any]) -> str:
    versions = {**record["versions"], **record["environment"]["packages"]}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _versions(made: list[dict[str, Any]]) -> str:
    """Those that decide a number: robex, torch and the revision of the method."""
    texts = []
    for r in made:
        versions = {
            **r["versions"],
            **{k: v for k, v in r["environment"]["packages"].items() if k == "torch"},
        }
        parts = [f"{name} {version}" for name, version in versions.items()]
        if method := r["identity"].get("method"):
            parts.append(f"{method['name']} revision {method['revision']}")
        texts.append(", ".join(parts))
    return "; ".join(text for text, _ in _ranked(texts))


def _device(record: Mapping[str, Any]) -> str:
    environment = record.get("environment")
    if not environment:
        return ""
    if record.get("device", "cpu") != "cpu" and environment.get("gpu"):
        return environment["gpu"]
    return environment.get("cpu") or "cpu"


def _git(git: Mapping[str, Any] | None) -> str:
    return f"{git['commit'][:SHORT]}{' with changes' if git['dirty'] else ''}" if git else "no git checkout"


def _date(created: str) -> str:
    """`2026-11-22 05:22 UTC`."""
    return f"{created[:10]} {created[11:16]} UTC" if created else ""


def _ranked(names: Iterable[str]) -> list[tuple[str, int]]:
    """Different names, the most frequent first."""
    return sorted(Counter(n for n in names if n).items(), key=_largest)


def _largest(item: tuple[str, float]) -> tuple[float, str]:
    return -item[1], item[0]
