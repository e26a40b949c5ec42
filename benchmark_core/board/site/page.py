"""The page: sections of every suite, the template, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ...errors import RobexError
from ...store import Store
from .. import words
from ..aggregate import WORST, boards_of, make_board
from ..formats import count, plural
from ..model import Block, Column, Table
from . import copies
from .crossmap import CrossMap, cross_map
from .facts import Facts
from .gallery import Gallery, galleries
from .published_lines import PublishedLine
from .tradeoff import Picture, Place, pictures, places_of
from .view import MOST_ROWS, BlockView, Boards, Strings

if TYPE_CHECKING:
    import jinja2

#: The file that a run leaves in its store.
REPORT = "report.html"
_EXPLANATIONS = ("attribution", "counterfactual", "synthesis")
_MOST_VERDICTS = 3


@dataclass
class SuiteView:
    """Everything the page says about one suite."""

    name: str
    version: int
    description: str
    verdict: list[tuple[str, list[str]]] = field(default_factory=list)
    facts: list[tuple[str, str, str]] = field(default_factory=list)
    done: int = 0
    total: int = 0
    bands: list[str] = field(default_factory=list)
    boards: list[tuple[str, list[BlockView]]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    compared: bool = False
    maps: list[CrossMap] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)
    published: list[PublishedLine] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    provenance: list[tuple[str, str]] = field(default_factory=list)
    source: list[tuple[str, str]] = field(default_factory=list)
    digest: str = ""
    left_out: list[str] = field(default_factory=list)
    planned_out: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    flagged: str = ""


def build_report(
    store: Store,
    suites: Sequence[str | Mapping[str, Any]] = (),
    *,
    tables: Iterable[Table] | None = None,
    commands: Mapping[str, str] | None = None,
    published: Mapping[str, Sequence[PublishedLine]] | None = None,
) -> str:
    """The page as a string.

    suites: names or manifests (default: all that ran in the store). tables: their boards when somebody has
    made them. commands, published: by suite, the `robex run ...` line that runs it again, and its published
    numbers beside ours.
    """
    manifests = [store.suite(s) if isinstance(s, str) else s for s in suites or store.suites()]
    if not manifests:
        raise RobexError(f"{store.path}: no suite has run here, so there is nothing to report")
    made = None if tables is None else list(tables)
    strings, data = Strings(), {}
    views = []
    for manifest in manifests:
        own = (
            [make_board(store, manifest, board) for board in boards_of(manifest)]
            if made is None
            else [t for t in made if t.suite == manifest["suite"]]
        )
        again = (commands or {}).get(manifest["suite"]) or f"robex run {manifest.get('file', '')}".strip()
        lines = list((published or {}).get(manifest["suite"], ()))
        views.append(_Suite(store, manifest, own, again, lines, strings, data).view())
    from markupsafe import Markup

    escapes = {"md": copies.MARKDOWN, "tex": copies.LATEX}
    document = {
        "strings": strings.all,
        "origins": strings.origins,
        "most": MOST_ROWS,
        "escapes": escapes,
        "blocks": data,
    }
    template, style, script = _parts()
    html = template.render(
        suites=views,
        title=views[0].name if len(views) == 1 else plural(len(views), "suite"),
        data=Markup(_json(document)),
        style=Markup(style),
        script=Markup(script),
        policy=(
            f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
        ),
        version=__version__,
        most=MOST_ROWS,
    )
    return html.lstrip()


def write_report(store: Store, path: str | Path | None = None, **options: Any) -> Path:
    """Write the page (default: `<store>/report.html`) and return its path; options: as for build_report."""
    target = Path(path) if path is not None else store.path / REPORT
    text = build_report(store, **options)
    draft = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8", newline="\n")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RobexError(f"{target}: cannot write the report: {error.strerror or error}") from error
    return target


class _Suite:
    """Fills the view of one suite."""

    def __init__(
        self,
        store: Store,
        manifest: Mapping[str, Any],
        tables: Sequence[Table],
        again: str,
        published: list[PublishedLine],
        strings: Strings,
        data: dict[str, Any],
    ) -> None:
        self.manifest, self.tables, self.again = manifest, tables, again
        self.store, self.published, self.strings, self.data = store, published, strings, data
        self.facts = Facts(store, manifest)
        self.controls = set(manifest.get("controls", ()))

    def view(self) -> SuiteView:
        m, facts = self.manifest, self.facts
        view = SuiteView(m["suite"], m["version"], m.get("description", ""))
        view.done, view.total = facts.done, facts.total
        boards = Boards(facts, self.strings, self.again, len(self.data))
        blocks = []
        for table in self.tables:
            made = [boards.block(table, block) for block in table.blocks if block.rows]
            blocks += made
            if made and facts.done:
                view.boards.append((made[0].title, made))
                self.data.update((b.id, b.data) for b in made)
            view.warnings += [w for w in table.warnings if w not in view.warnings]
        robust, explained = self._headlines()
        if facts.done:
            self._headline_sections(view, robust, explained)
            view.verdict = self._verdict(robust, explained)
        view.published = self.published
        view.facts = self._facts(blocks)
        view.flagged = next((b.id for b in blocks if b.flagged), "")
        view.bands = self._bands()
        view.commands = [self.again, *self._other_commands()]
        view.provenance = list(facts.provenance())
        view.source = [(name, text) for name, text in m.get("source", ())]
        view.digest = m.get("digest", "")
        view.planned_out = [
            (reason, plural(n, "cell") if n else "") for reason, n in m.get("left_out", {}).items()
        ]
        view.left_out = self._left_out(view, robust, explained)
        return view

    # -- headline --

    def _headlines(self) -> tuple[Column | None, Column | None]:
        """The columns of the trade-off: the first board that ranks an attack's outcome by it, the first that
        ranks explanations. A control never is the headline."""
        robust = self._headline_column(("perturbation",), "attack")
        return robust, self._headline_column(_EXPLANATIONS, "explainer")

    def _headline_column(self, consumed: Sequence[str], producer: str) -> Column | None:
        for table in self.tables:
            for block in table.blocks:
                ordered = [] if block.ordered_by is None else [block.columns[block.ordered_by]]
                worst = [c for c in block.columns if c.at.get("attack", "").startswith(WORST)]
                for column in [*ordered, *worst, *block.columns]:
                    about = self.manifest["metrics"][column.metric]
                    made_by = {**block.at, **column.at}.get(producer)
                    in_rows = any(producer in row.at for row in block.rows)
                    if (
                        set(consumed) & set(about["consumes"])
                        and column.direction is not None
                        and about["scores"] != "set"
                        and (in_rows or (made_by is not None and made_by not in self.controls))
                    ):
                        return column
        return None

    def _headline_sections(self, view: SuiteView, robust: Column | None, explained: Column | None) -> None:
        labels = self.manifest["labels"]
        if explained is not None:
            places = [
                p
                for p in places_of(self.tables, explained.metric)
                if "explainer" in p.at and "defense" in p.at
            ]
            clean = [p for p in places if p.at.get("on", "clean") == "clean"]
            if robust is not None:
                attack = robust.at.get("attack") or self._attack_of(robust)
                shown = {p.at["explainer"] for p in clean}
                explainers = [e for e in labels["explainer"] if e in shown]
                rows = [p for p in places_of(self.tables, robust.metric, attack=attack) if "defense" in p.at]
                for name, mine in _by_model(clean).items():
                    view.pictures += pictures(
                        _named(name, clean), _by_model(rows).get(name, []), mine, explainers
                    )
                view.compared = robust.ranking is not None or explained.ranking is not None
            for name, mine in _by_model(places).items():
                found = cross_map(self.facts, _named(name, places), mine, labels)
                view.maps += [found] if found else []
        view.galleries = galleries(self.facts, self._shown(robust))

    def _attack_of(self, column: Column) -> str:
        for table in self.tables:
            for block in table.blocks:
                if column in block.columns and "attack" in block.at:
                    return block.at["attack"]
        return ""

    def _shown(self, robust: Column | None) -> dict[str, str]:
        """What the gallery shows: the headline attack, and the first explainer of each kind."""
        attacks = [a for a in self.manifest["labels"]["attack"] if a not in self.controls]
        headline = "" if robust is None else robust.at.get("attack") or self._attack_of(robust)
        found = {"perturbation": headline if headline in attacks else next(iter(attacks), "")}
        for at, *_ in self.manifest["cells"]:
            if "explainer" in at and at["explainer"] not in self.controls:
                for kind in self.manifest["metrics"][at["metric"]]["consumes"]:
                    found.setdefault(kind, at["explainer"])
        return found

    # -- words --

    def _verdict(self, robust: Column | None, explained: Column | None) -> list[tuple[str, list[str]]]:
        """(dataset, sentences) for the first datasets."""
        said: dict[str, list[str]] = {}
        unranked = True
        for headline in (robust, explained):
            for block, column in self._same(headline):
                if column.ranking is not None:
                    unranked = False
                    name = " · ".join(block.at[c] for c in ("dataset", "model") if c in block.at)
                    said.setdefault(name, []).append(column.ranking.verdict)
        if unranked:
            several = any(len(b.rows) > 1 for t in self.tables for b in t.blocks)
            text = "No row is ranked: the order shown is the order of the estimates." if several else ""
            return [("", [text])] if text else []
        return list(said.items())[:_MOST_VERDICTS]

    def _same(self, headline: Column | None) -> list[tuple[Block, Column]]:
        """The headline's column in every block of its board."""
        if headline is None:
            return []
        for table in self.tables:
            if any(column is headline for block in table.blocks for column in block.columns):
                return [
                    (block, column)
                    for block in table.blocks
                    for column in block.columns
                    if column.metric == headline.metric and dict(column.shown) == dict(headline.shown)
                ]
        return []

    def _facts(self, blocks: Sequence[BlockView]) -> list[tuple[str, str, str]]:
        """(what, value, link) of the facts line; the cells have a bar of their own."""
        newest = self.facts.newest
        made = [newest.get("created", "")[:10]] if newest.get("created") else []
        made += [f"{name} {v}" for name, v in newest.get("versions", {}).items() if name == "robex"]
        flagged = sum(b.flagged for b in blocks)
        samples = sorted(
            {
                c.estimate.n
                for t in self.tables
                for b in t.blocks
                for r in b.rows
                for c in r.cells
                if c.estimate and c.estimate.n
            }
        )
        crossed = count(self.manifest["seeds"])
        if samples:
            ends = dict.fromkeys((count(samples[0]), count(samples[-1])))
            crossed += f" × {' to '.join(ends)}"
        over = "seeds and samples" if self.manifest["seeds"] > 1 else "samples"
        found = [
            ("Seeds × samples", crossed, ""),
            ("Intervals", f"95 %, over {over}", ""),
            (
                "Flags",
                plural(flagged, "row") if flagged else "none",
                next((b.id for b in blocks if b.flagged), ""),
            ),
            ("Made", ", ".join(made), ""),
            ("Device", ", ".join(self.facts.devices[:2]), ""),
        ]
        return [line for line in found if line[1]]

    def _bands(self) -> list[str]:
        bands = []
        if not self.facts.done:
            bands.append(f"No records yet: {plural(self.facts.total, 'cell')} planned. Run: {self.again}")
        elif self.manifest["seeds"] == 1:
            bands.append(
                f"One seed: intervals cover samples only. {words.ONE_SEED.partition(': ')[2].capitalize()}"
            )
        elif self.manifest["seeds"] == 2:
            bands.append(words.TWO_SEEDS)
        return bands

    def _other_commands(self) -> list[str]:
        import shlex

        place = shlex.quote(str(self.store.path))
        return [f"robex table {place} --suite {shlex.quote(self.manifest['suite'])}", f"robex report {place}"]

    def _left_out(self, view: SuiteView, robust: Column | None, explained: Column | None) -> list[str]:
        """A line for each section that has no data."""
        if not self.facts.done:
            return []
        lines = []
        if not view.pictures:
            missing = "attack with a metric that has a direction" if robust is None else ""
            missing = missing or ("explanation metric that has a direction" if explained is None else "")
            why = f"no board shows an {missing}" if missing else "no row has both numbers"
            lines.append(f"Trade-off: {why}.")
        if not view.maps:
            lines.append("Cross product: no board shows explanations.")
        if not view.galleries:
            lines.append("Gallery: no dataset of images has results to show.")
        if not view.published:
            lines.append("Published numbers: the suite names none (expected:).")
        return lines


def _by_model(places: Sequence[Place]) -> dict[tuple[str, str], list[Place]]:
    found: dict[tuple[str, str], list[Place]] = {}
    for p in places:
        found.setdefault((p.at.get("dataset", ""), p.at.get("model", "")), []).append(p)
    return found


def _named(name: tuple[str, str], places: Sequence[Place]) -> str:
    """The dataset; with the model where there are several."""
    several = len({p.at.get("model") for p in places}) > 1
    return " · ".join(filter(None, name if several else name[:1]))


def _json(value: Any) -> str:
    """JSON that cannot end its script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _hash(text: str) -> str:
    """As a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _parts() -> tuple[jinja2.Template, str, str]:
    """Template, style and script."""
    import jinja2

    folder = Path(__file__).parent
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    style, script = ((folder / f"report.{end}").read_text(encoding="utf-8") for end in ("css", "js"))
    return template, style, script
