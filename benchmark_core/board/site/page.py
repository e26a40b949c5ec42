"""The page: sections of every suite, the template, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import contextlib
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
from ...store.cells import cells_in
from .. import latex, words
from ..formats import count, plural
from ..headline import Place, by_model, headline, headline_places, make_boards
from ..model import Table
from ..ranks import ALPHABET
from ..strips import key_of
from ..table import MARKDOWN
from .across import AcrossView, across_view
from .crossmap import CrossMap, cross_map
from .data import Strings
from .facts import Facts
from .gallery import Gallery, galleries
from .opening import capital, reading, verdict
from .published_lines import PublishedLine
from .tradeoff import Picture, pictures
from .view import MOST_ROWS, BlockView, Boards, bases

if TYPE_CHECKING:
    import jinja2

#: The file that a run leaves in its store.
REPORT = "report.html"


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
    #: How to read the boards, at the first one; what their intervals and ranks claim, below the last.
    help: str = ""
    footers: list[str] = field(default_factory=list)
    #: By dataset (and model): its name, pictures, and (explainer, sentence) on what goes with what.
    pictures: list[tuple[str, list[Picture], list[tuple[str, str]]]] = field(default_factory=list)
    correlated: str = ""
    across: list[AcrossView] = field(default_factory=list)
    reading: str = ""
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


def build_report(
    store: Store,
    suites: Sequence[str | Mapping[str, Any]] = (),
    *,
    tables: Iterable[Table] | None = None,
    commands: Mapping[str, str] | None = None,
    published: Mapping[str, Sequence[PublishedLine]] | None = None,
) -> str:
    """The page as a string.

    suites: names or manifests (default: all that ran in the store). tables: their boards, as make_boards
    gives them, when somebody has made them. commands, published: by suite, the `robex run ...` line that runs
    it again, and its published numbers beside ours.
    """
    manifests = [store.suite(s) if isinstance(s, str) else s for s in suites or store.suites()]
    if not manifests:
        raise RobexError(f"{store.path}: no suite has run here, so there is nothing to report")
    made = None if tables is None else list(tables)
    strings, data = Strings(), {}
    views = []
    for manifest in manifests:
        own = (
            make_boards(store, manifest)
            if made is None
            else [t for t in made if t.suite == manifest["suite"]]
        )
        again = (commands or {}).get(manifest["suite"]) or f"robex run {manifest.get('file', '')}".strip()
        lines = list((published or {}).get(manifest["suite"], ()))
        views.append(_Suite(store, manifest, own, again, lines, strings, data).view())
    from markupsafe import Markup

    escapes = {"md": MARKDOWN, "tex": latex.SIGNS}
    document = {
        "strings": strings.all,
        "origins": strings.origins,
        "most": MOST_ROWS,
        "escapes": escapes,
        "letters": ALPHABET,
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
        with contextlib.suppress(OSError):
            draft.unlink()
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
        self.chosen = headline(manifest, tables)

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
        if facts.done:
            view.help, view.footers = _help(blocks), [*_footers(blocks), *self._key()]
            self._headline_sections(view)
            view.across = [a for table in self.tables if (a := across_view(table))]
            view.verdict = verdict(self.tables, self.chosen, self.controls)
        view.published = self.published
        view.facts = self._facts(blocks)
        view.bands = self._bands()
        view.commands = [self.again, *self._other_commands()]
        view.provenance = list(facts.provenance())
        view.source = [(name, text) for name, text in m.get("source", ())]
        view.digest = m.get("digest", "")
        view.planned_out = [
            (reason, plural(n, "cell") if n else "") for reason, n in m.get("left_out", {}).items()
        ]
        view.left_out = self._left_out(view)
        return view

    # -- headline --

    def _headline_sections(self, view: SuiteView) -> None:
        labels, ideals = self.manifest["labels"], self.manifest.get("ideals", ())
        robust, explained = headline_places(self.tables, self.chosen)
        if self.chosen.explained is not None:
            clean = [p for p in explained if p.at.get("on", "clean") == "clean"]
            if self.chosen.robust is not None:
                shown = {p.at["explainer"] for p in clean}
                explainers = [e for e in labels["explainer"] if e in shown]
                rows = by_model(robust)
                found = [d for table in self.tables for d in table.defenses]
                for name, mine in by_model(clean).items():
                    title = _named(name, clean)
                    made = pictures(title, rows.get(name, []), mine, explainers, self.controls, ideals)
                    lines = [
                        (d.at["explainer"], words.correlation(d.found))
                        for d in found
                        if (d.at.get("dataset", ""), d.at.get("model", "")) == name
                    ]
                    if made:
                        view.pictures.append((title, made, _alike(lines)))
                view.reading = reading([p for _, made, _ in view.pictures for p in made])
                if any(d.found.rho is not None for d in found):
                    view.correlated = words.CHOSEN
            for name, mine in by_model(explained).items():
                crossed = cross_map(self.facts, _named(name, explained), mine, labels)
                view.maps += [crossed] if crossed else []
        view.galleries = galleries(self.facts, self._shown())

    def _shown(self) -> dict[str, str]:
        """What the gallery shows: the first attack, and the first explainer of each kind."""
        attacks = (a for a in self.manifest["labels"]["attack"] if a not in self.controls)
        found = {"perturbation": next(attacks, "")}
        for at, *_ in cells_in(self.manifest).listed():
            if "explainer" in at and at["explainer"] not in self.controls:
                for kind in self.manifest["metrics"][at["metric"]]["consumes"]:
                    found.setdefault(kind, at["explainer"])
        return found

    # -- words --

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
        over = [f"over {basis}" for basis in bases([b for t in self.tables for b in t.blocks])]
        found = [
            ("Seeds × samples", crossed, ""),
            ("Intervals", f"95 %, {'; some '.join(over)}" if over else "", ""),
            (
                "Flags",
                (plural(flagged, "row") if flagged else "none") if self.facts.done else "",
                next((b.id for b in blocks if b.flagged), ""),
            ),
            ("Made", ", ".join(made), ""),
            ("Device", ", ".join(self.facts.devices[:2]), ""),
        ]
        return [line for line in found if line[1]]

    def _key(self) -> list[str]:
        """What the signs in the boards mean, each that occurs."""
        blocks = [(b, range(len(b.rows))) for t in self.tables for b in t.blocks if b.rows]
        key = key_of(blocks, across=False)
        return [key] if key else []

    def _bands(self) -> list[str]:
        bands = []
        if not self.facts.done:
            bands.append(f"No records yet: {plural(self.facts.total, 'cell')} planned. Run: {self.again}")
        elif self.manifest["seeds"] == 1:
            said = capital(words.ONE_SEED.partition(": ")[2])
            bands.append(f"One seed: intervals cover samples only. {said}")
        elif self.manifest["seeds"] == 2:
            bands.append(words.TWO_SEEDS)
        return bands

    def _other_commands(self) -> list[str]:
        import shlex

        place = shlex.quote(str(self.store.path))
        return [f"robex table {place} --suite {shlex.quote(self.manifest['suite'])}", f"robex report {place}"]

    def _left_out(self, view: SuiteView) -> list[str]:
        """A line for each section that has no data."""
        if not self.facts.done:
            return []
        lines = []
        if not view.pictures:
            why = "no row has both numbers"
            if self.chosen.robust is None:
                why = "no board shows an attack with a metric that has a direction"
            elif self.chosen.explained is None:
                why = "no board shows an explanation metric that has a direction"
            lines.append(f"Trade-off: {why}.")
        if not view.maps:
            lines.append("Cross product: no board shows explanations.")
        if not view.across and not any(len(table.blocks) > 1 for table in self.tables):
            lines.append("Across datasets: every board has one.")
        if not view.galleries:
            lines.append("Gallery: no dataset of images has results to show.")
        if not view.published:
            lines.append("Published numbers: the suite names none (expected:).")
        return lines


def _help(blocks: Sequence[BlockView]) -> str:
    ranks = "Rows that share a letter cannot be separated; from a name in bold no row is separated as better."
    return ranks if any(b.has_ranks for b in blocks) else ""


def _footers(blocks: Sequence[BlockView]) -> list[str]:
    """Each sentence once, with the boards that it is about where they have different ones."""
    found: dict[str, dict[str, None]] = {}
    for b in blocks:
        if b.footer:
            found.setdefault(b.footer, {})[b.title] = None
    return [text if len(found) == 1 else f"{words.listed(list(of))}: {text}" for text, of in found.items()]


def _named(name: tuple[str, str], places: Sequence[Place]) -> str:
    """The dataset; with the model where there are several."""
    several = len({p.at.get("model") for p in places}) > 1
    return " · ".join(filter(None, name if several else name[:1]))


def _alike(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(explainers, sentence): explainers of which the same is to say, such as too few defenses, together."""
    found: dict[str, list[str]] = {}
    for name, text in lines:
        found.setdefault(text, []).append(name)
    return [(", ".join(names), text) for text, names in found.items()]


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
