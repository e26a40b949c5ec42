"""Pictures of what methods did to the first samples: input, attacked input, attribution, counterfactual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...store.cells import cells_in
from ...store.store import RESULT
from .. import words
from ..formats import plural
from . import png
from .facts import Facts

if TYPE_CHECKING:
    import numpy as np

MOST_IMAGES = 24
MOST_SAMPLES = 3


@dataclass(frozen=True)
class Image:
    uri: str
    alt: str
    caption: str
    below: str
    width: int
    height: int


@dataclass(frozen=True)
class Strip:
    """What one defense's model sees: its prediction, and what was made from it."""

    defense: str
    prediction: str
    images: tuple[Image, ...]


@dataclass(frozen=True)
class Sample:
    title: str
    input: Image
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Gallery:
    title: str
    rule: str
    samples: tuple[Sample, ...]

    @property
    def images(self) -> int:
        return sum(1 + sum(len(strip.images) for strip in sample.strips) for sample in self.samples)


@dataclass(frozen=True)
class _Source:
    """A result to show: of one producer on one model."""

    kind: str
    label: str
    result: str
    selection: str
    score: str | None


def galleries(facts: Facts, headline: Mapping[str, str]) -> list[Gallery]:
    """One for each dataset of images. headline: the attack and the explainers to show, by kind of result: the
    first of the suite."""
    models: dict[tuple[str, str], dict[str, list[_Source]]] = {}
    for at, key, selection, result in cells_in(facts.manifest).listed():
        if at["seed"] == 0 and (kind := _kind(facts, at, headline)):
            sources = models.setdefault((at["dataset"], at["model"]), {}).setdefault(at["defense"], [])
            scores = facts.manifest["metrics"][at["metric"]]["name"] in ("robust-accuracy", "validity")
            source = _Source(kind, headline.get(kind, ""), result, selection, key if scores else None)
            known = next((i for i, s in enumerate(sources) if s.kind == kind), None)
            if known is None:
                sources.append(source)
            elif source.score and not sources[known].score:
                sources[known] = source
    shown = {name: d for name, d in models.items() if _is_image(facts, d)}
    found = [_gallery(facts, name, d, MOST_IMAGES // len(shown)) for name, d in shown.items()]
    return [g for g in found if g is not None and g.samples]


def _kind(facts: Facts, at: Mapping[str, Any], headline: Mapping[str, str]) -> str | None:
    """What a cell's result is, if the gallery shows it."""
    consumes = facts.manifest["metrics"][at["metric"]]["consumes"]
    for kind in consumes:
        if kind == "prediction" and "attack" not in at and "explainer" not in at:
            return kind
        if kind == "perturbation" and at.get("attack") == headline.get(kind, ""):
            return kind
        if kind in ("attribution", "counterfactual") and at.get("explainer") == headline.get(kind, ""):
            return kind if at.get("on", "clean") == "clean" else None
    return None


def _is_image(facts: Facts, defenses: Mapping[str, Sequence[_Source]]) -> bool:
    for sources in defenses.values():
        for source in sources:
            if task := facts.record(source.result).get("inputs", {}).get("task"):
                return _there(facts, task) and len(_shape(facts, task)) == 4
    return False


def _there(facts: Facts, key: str) -> bool:
    """Whether a result can be looked at: bundles come without images."""
    return (facts.store.folder(key) / RESULT).is_file()


def _shape(facts: Facts, task: str) -> Sequence[int]:
    with _open(facts, task) as tensors:
        return tensors.get_slice("x_test").get_shape()


def _gallery(
    facts: Facts, name: tuple[str, str], defenses: Mapping[str, Sequence[_Source]], most: int
) -> Gallery | None:
    order = {
        kind: i for i, kind in enumerate(("prediction", "perturbation", "attribution", "counterfactual"))
    }
    here = {
        d: sorted((s for s in sources if _there(facts, s.result)), key=lambda s: order[s.kind])
        for d, sources in defenses.items()
    }
    kinds = max((sum(s.kind != "prediction" for s in sources) for sources in here.values()), default=0)
    kept = dict(list(here.items())[: max(1, (most - 1) // max(1, kinds))])
    pictures = sum(s.kind != "prediction" for sources in kept.values() for s in sources)
    common = _common(facts, [s for sources in kept.values() for s in sources if s.kind != "prediction"])
    rows = common[: min(MOST_SAMPLES, max(1, most // (1 + pictures)))]
    if not rows or not pictures:
        return None
    left_out = len(here) - len(kept)
    rule = (
        f"The first {plural(len(rows), 'test sample')} (in test set order) that every method below "
        "was given, models of seed 0; no result was looked at to choose them."
    )
    if any(s.kind == "attribution" for sources in kept.values() for s in sources):
        rule += (
            " Attributions: vermilion speaks for the explained class, blue against, white is zero; one scale "
            "for all of a sample."
        )
    drawn = {s.label for sources in kept.values() for s in sources if s.label}
    labels, controls = facts.manifest["labels"], facts.manifest.get("controls", ())
    more = {m for kind in ("attack", "explainer") for m in labels[kind] if m not in controls} - drawn
    if more:
        rule += (
            " Of the suite's attacks the first is shown, and of its explainers the first of each kind: "
            f"{plural(len(more), 'more method')} not drawn: {words.listed(sorted(more), words.NAMES)}."
        )
    if left_out:
        rule += f" {plural(left_out, 'more defense')} not shown."
    samples = tuple(_Reader(facts, name, kept, row).sample() for row in rows)
    return Gallery(" · ".join(filter(None, name)), rule, samples)


def _common(facts: Facts, sources: Sequence[_Source]) -> list[int]:
    """Test rows that all of them worked on."""
    import numpy as np

    seen = [np.unique(_tensor(facts, s.selection, "index")) for s in sources]
    common = seen[0] if seen else np.zeros(0, dtype=np.int64)
    for index in seen[1:]:
        common = np.intersect1d(common, index)
    return [int(i) for i in common]


class _Reader:
    """The pictures of one test sample."""

    def __init__(
        self, facts: Facts, name: tuple[str, str], defenses: Mapping[str, Sequence[_Source]], row: int
    ) -> None:
        self.facts, self.name, self.defenses, self.row = facts, name, defenses, row
        first = next(s for sources in defenses.values() for s in sources)
        self.task = facts.record(first.result)["inputs"]["task"]
        fields = facts.record(self.task)["result"]["fields"]
        self.classes = [str(c) for c in fields.get("classes", [])]
        self.lower, self.upper = (_tensor(facts, self.task, n) for n in ("lower", "upper"))

    def sample(self) -> Sample:
        x = _tensor(self.facts, self.task, "x_test", self.row)
        y = self._class(int(_tensor(self.facts, self.task, "y_test", self.row)))
        title = f"Sample {self.row} · label {y}"
        image = self._image(
            png.picture(x, self.lower, self.upper),
            x,
            f"test sample {self.row}",
            f"label {y}",
            f"{self.name[0]}, {title}: the input",
        )
        values = {d: self._attribution(sources) for d, sources in self.defenses.items()}
        heights = [abs(png.heights(v)).max() for v in values.values() if v is not None]
        scale = float(max(heights, default=0.0))
        strips = [self._strip(d, sources, title, scale) for d, sources in self.defenses.items()]
        return Sample(title, image, tuple(strips))

    def _strip(self, defense: str, sources: Sequence[_Source], title: str, scale: float) -> Strip:
        images, prediction = [], ""
        for s in sources:
            if (at := self._at(s)) is None:
                continue
            about = f"{self.name[0]}, {title}, {defense}"
            if s.kind == "prediction":
                prediction = self._prediction(_tensor(self.facts, s.result, "logits", at))
            elif s.kind == "perturbation":
                x = _tensor(self.facts, s.result, "x_adv", at)
                below = {1.0: "still read correctly", 0.0: "read wrongly"}.get(self._score(s, at), "")
                images.append(
                    self._image(
                        png.picture(x, self.lower, self.upper),
                        x,
                        f"attacked by {s.label}",
                        below,
                        f"{about}: attacked by {s.label}",
                    )
                )
            elif s.kind == "attribution":
                x = _tensor(self.facts, s.result, "values", at)
                images.append(
                    self._image(
                        png.heat(x, scale),
                        x,
                        f"attribution by {s.label}",
                        "",
                        f"{about}: attribution by {s.label}",
                    )
                )
            else:
                x = _tensor(self.facts, s.result, "x_cf", at)
                below = self._aim(s, at)
                images.append(
                    self._image(
                        png.picture(x, self.lower, self.upper),
                        x,
                        f"counterfactual by {s.label}",
                        below,
                        f"{about}: counterfactual by {s.label}, {below}",
                    )
                )
        return Strip(defense, prediction, tuple(images))

    def _attribution(self, sources: Sequence[_Source]) -> np.ndarray | None:
        for s in sources:
            if s.kind == "attribution" and (at := self._at(s)) is not None:
                return _tensor(self.facts, s.result, "values", at)
        return None

    def _at(self, source: _Source) -> int | None:
        """Where the sample stands in a result."""
        import numpy as np

        found = np.flatnonzero(_tensor(self.facts, source.selection, "index") == self.row)
        return int(found[0]) if len(found) else None

    def _prediction(self, logits: np.ndarray) -> str:
        import numpy as np

        odds = np.exp(logits.astype(np.float64) - logits.max())
        best = int(odds.argmax())
        share = 100 * odds[best] / odds.sum()
        shown = "> 99.9" if share > 99.9 else f"{share:.1f}"
        return f"reads the input as {self._class(best)}, {shown} %"

    def _aim(self, s: _Source, at: int) -> str:
        target = _tensor(self.facts, s.selection, "target", at)
        aim = f"towards {self._class(int(target))}" if target is not None else ""
        reached = {1.0: "reached", 0.0: "not reached"}.get(self._score(s, at), "")
        return ", ".join(filter(None, (aim, reached)))

    def _score(self, s: _Source, at: int) -> float:
        """Of the sample in the metric that judges it; -1: not known."""
        if s.score is None or not self.facts.store.has(s.score):
            return -1.0
        values = _tensor(self.facts, s.score, "values")
        return float(values[at]) if len(values) == len(_tensor(self.facts, s.selection, "index")) else -1.0

    def _class(self, index: int) -> str:
        return self.classes[index] if index < len(self.classes) else str(index)

    def _image(self, uri: str, x: np.ndarray, caption: str, below: str, alt: str) -> Image:
        """Shown at a whole multiple of its pixels where that fits in 96."""
        height, width = x.shape[-2:]
        times = 96 / max(height, width)
        times = int(times) if times >= 1 else times
        return Image(uri, alt, caption, below, round(width * times), round(height * times))


def _tensor(facts: Facts, key: str, name: str, row: int | None = None) -> Any:
    """A tensor of a record, or one row of it, without reading the rest of the file; None when it has none."""
    with _open(facts, key) as tensors:
        if name not in tensors.keys():  # noqa: SIM118 - no mapping
            return None
        part = tensors.get_slice(name)
        return part[:] if row is None else part[row]


def _open(facts: Facts, key: str) -> Any:
    from safetensors import safe_open

    return safe_open(facts.store.folder(key) / RESULT, framework="numpy")
