"""The report as text: what it says, that it is always the same bytes, that names cannot break out."""

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from site_store import HOSTILE, fill, large

from benchmark_core.board import boards_of, make_board, render
from benchmark_core.board.model import Flag
from benchmark_core.board.ranks import ALPHABET, letter
from benchmark_core.board.site import PublishedLine, build_report, png, write_report
from benchmark_core.board.strips import row_notes
from benchmark_core.errors import RobexError
from benchmark_core.store import Store

_VOID = {"meta", "img", "br", "input", "link"}


class Page(HTMLParser):
    """Elements with their attributes, the text of the page, and the data for the script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parts: dict[str, list[str]] = {}
        self.path: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.path == [], "every element is closed"
        self.data = json.loads("".join(self.parts["script"][:1]))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.path.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in ("p", "li", "dt", "dd", "option"):
            assert self.path.pop() == tag
        elif self.path[-1:] == [tag]:
            self.path.pop()

    def handle_data(self, data):
        if self.path[-1:] and self.path[-1] in ("script", "style"):
            self.parts.setdefault(self.path[-1], []).append(data)
        else:
            self.text += data

    def attributes(self, tag: str, name: str) -> list[str]:
        return [a[name] or "" for t, a in self.elements if t == tag and name in a]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return fill(tmp_path_factory.mktemp("site") / "store", missing=[("Weak", "ecco")])


@pytest.fixture(scope="module")
def html(store) -> str:
    return build_report(store)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_two_builds_are_equal_to_the_byte(store, html, tmp_path):
    assert build_report(store) == html
    path = write_report(store, tmp_path / "deep" / "page.html")
    assert path.read_bytes() == html.encode()
    shutil.copytree(store.path, tmp_path / "copy")
    elsewhere = build_report(Store(tmp_path / "copy"))
    assert elsewhere.replace(str(tmp_path / "copy"), str(store.path)) == html


def test_order_of_the_sections(html):
    heads = [re.sub("<.*?>", "", h) for h in re.findall("<h2>(.*?)</h2>", html)]
    assert heads == [
        "What robustness buys in explainability", "Robustness · digits · mlp", "Explanations · digits · mlp",
        "Cross product", "Gallery", "Provenance",
    ]  # fmt: skip
    assert "Published numbers: the suite names none" in html


def test_rows_stand_in_the_order_of_the_board_and_say_its_ranks(store, page, html):
    manifest = store.suite("made")
    table = make_board(store, manifest, boards_of(manifest, "explanations")[0])
    (block,) = table.blocks
    ranking = block.columns[0].ranking
    assert ranking is not None
    data = page.data["blocks"]["b2"]["columns"][0]
    standings = [ranking.standings[r] for r in data["order"]]
    assert [data["places"][r] for r in data["order"]] == [
        [s.low, s.high, ALPHABET.index(s.ties[0]), len(s.ties)] if s else 0 for s in standings
    ]
    expected = [s and (f"{s.low}–{s.high}" if s.low != s.high else f"{s.low}") for s in standings]
    body = html.partition('id="b2"')[2].partition("</section>")[0]
    assert [int(r) for r in re.findall(r'<tr data-r="(\d+)"', body)] == data["order"]
    assert [r for r in re.findall(r'class="rank"><span>(.*?)</span>', body) if r != "–"] == [
        e for e in expected if e
    ]
    for column in page.data["blocks"]["b2"]["columns"]:
        assert sorted(column["order"]) == list(range(len(block.rows)))


def test_an_incomplete_row_is_listed_last_with_its_reason(html):
    rest = html.partition('class="rest">')[2].partition("</tbody>")[0]
    assert "Incomplete: listed, never ranked" in rest
    assert "✕ incomplete" in rest
    assert "1 seed: not run yet" in rest
    assert "4/6" in rest
    assert rest.count("<tr data-r") == 1


def test_a_failure_says_why(tmp_path):
    store = fill(tmp_path / "s", missing=[("Weak", "ecco")])
    at, key, *_ = next(c for c in store.suite("made")["cells"] if not store.has(c[1]))
    store.write_failure(
        key, {"key": key, "stage": "measure", "where": at, "reason": "timeout", "message": "after 600 s"}
    )
    html = build_report(store)
    assert "1 seed: timeout: after 600 s" in html
    crossed = html.partition("Cross product</h2>")[2].partition("</section>")[0]
    assert '<td class="hatch"><span>timeout</span></td>' in crossed


def test_the_csv_of_the_page_is_the_csv_of_the_table(store, page):
    manifest = store.suite("made")
    for i, board in enumerate(boards_of(manifest), start=1):
        expected = list(csv.DictReader(io.StringIO(render([make_board(store, manifest, board)], "csv"))))
        block = page.data["blocks"][f"b{i}"]
        head = next(csv.reader([block["csv"]]))
        found = []
        for r, row in enumerate(block["cells"]):
            for c, cell in enumerate(row):
                own = iter(cell[4].split("\t"))
                fields = []
                place = block["columns"][c]["places"] and block["columns"][c]["places"][r]
                low, high, first, groups = place or ("", "", 0, 0)
                ties = "".join(letter(g) for g in range(first, first + groups))
                elsewhere = {-1: " ".join(_keys(cell[2])), -2: str(low), -3: str(high), -4: ties}
                for f in block["columns"][c]["csv"]:
                    if f is None:
                        fields.append(next(own))
                    elif isinstance(f, str):
                        fields.append(f)
                    else:
                        fields.append(elsewhere[f] if f < 0 else block["labels"][r][f])
                found.append(dict(zip(head, next(csv.reader([",".join(fields)])), strict=True)))
        for row in expected:
            row["keys"] = " ".join(k[:12] for k in row["keys"].split())
        labels = [c for c in ("defense", "explainer") if c in expected[0]]
        rows = [
            dict.fromkeys(tuple(line[c] for c in labels) for line in lines) for lines in (found, expected)
        ]
        assert list(rows[0]) == list(rows[1])
        assert found == expected


def test_the_ranked_column_stands_first_with_its_metric(store, page):
    manifest = store.suite("made")
    table = make_board(store, manifest, boards_of(manifest)[0])
    (block,) = table.blocks
    assert [c.at.get("attack") for c in block.columns] == ["worst of 2", "noise", "pgd", None]
    assert block.ordered_by == 0
    shown = page.data["blocks"]["b1"]
    names = [column["name"] for column in shown["columns"]]
    assert names == [f"robust-accuracy · {a}" for a in ("worst of 2", "noise", "pgd")] + ["accuracy"]
    heads = [a["data-c"] for t, a in page.elements if t == "button" and a.get("class") == "by"]
    assert heads[:4] == ["3", "0", "1", "2"]  # the header of accuracy stands over two lines
    means = [[cell.estimate.value for cell in row.cells] for row in block.rows]
    per_seed = [[np.mean([float(x) for x in c[3].split()]) / 100 for c in row] for row in shown["cells"]]
    np.testing.assert_allclose(per_seed, np.array(means), atol=1e-4)


def test_the_drawer_knows_where_a_number_comes_from(store, page):
    block = page.data["blocks"]["b1"]
    at = [c["name"] for c in block["columns"]].index("robust-accuracy · noise")
    how, origin, keys, seeds, _ = block["cells"][0][at]
    on, ran, passes, versions = (page.data["strings"][i] for i in page.data["origins"][origin])
    assert page.data["strings"][how].startswith("Mean over 3 seeds × 40 samples; 95 % interval (Wilson")
    assert on == "digits · 40 test samples (seeded shuffle), next targets"
    assert ran == "2026-11-20 14:02 UTC, 1.5 s a seed, a cpu, 100 MB peak"
    assert passes == "2 forward, 1 backward a sample"
    assert versions == "robex 1.0.0, torch 2.9.1, m revision 1"
    assert len(_keys(keys)) == len(seeds.split(" ")) == 3
    assert all(store.find(key) for key in _keys(keys))
    assert page.data["strings"][block["again"]] == "robex run made.yaml"


def _keys(text: str) -> list[str]:
    """The twelve digits of each record key."""
    digits = base64.b64decode(text).hex()
    return [digits[i : i + 12] for i in range(0, len(digits), 12)]


def test_only_its_own_style_and_script_may_run(page):
    (policy,) = (
        a["content"] or "" for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    style, script = page.parts["style"][0], "".join(page.parts["script"][1:])

    def digest(text: str) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; img-src data:; style-src '{digest(style)}'; script-src '{digest(script)}'"
    )
    assert script.count("\n") < 200
    assert "innerHTML" not in script
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))


def test_hostile_names_are_text(tmp_path):
    defenses, explainers = HOSTILE[:4], HOSTILE[3:]
    store = fill(
        tmp_path / "s", name=HOSTILE[0], datasets=HOSTILE[1:3], defenses=defenses, explainers=explainers,
        attacks=("noise", HOSTILE[1]), missing=[(defenses[0], explainers[0])], on=("clean", HOSTILE[1]),
    )  # fmt: skip
    html = build_report(store)
    page = Page(html)
    assert sum(t == "script" for t, _ in page.elements) == 2
    assert html.startswith("<!doctype html>")
    assert not [a for t, a in page.elements if t == "img" and a.get("src") == "x"]
    assert not [t for t, attributes in page.elements if t == "b" and not attributes]
    for name in (*defenses, *explainers):
        assert name.replace("\t", " ") in page.text.replace("\t", " ")
    assert "{{7*7}}" in page.text
    assert "49" not in html.partition("{{7*7}}")[0][-40:]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_wherever_a_string_can_come_from(tmp_path, text):
    """Board, unit, summary, description, file, suite text, override, params, plugin, versions, machine,
    classes, failures, published numbers: everywhere the page has no more than the text."""
    store = fill(tmp_path / "s", datasets=("a", "b"), missing=[("Weak", "ecco")], text=text)
    at, key, *_ = next(c for c in store.suite("made")["cells"] if not store.has(c[1]))
    store.write_failure(key, {"key": key, "stage": "measure", "where": at, "reason": text, "message": text})
    line = PublishedLine(text, text, text, text, text, "differs", text, text)
    page = Page(build_report(store, published={"made": [line]}, commands={"made": text}))
    assert sum(t == "script" for t, _ in page.elements) == 2
    assert not [a for t, a in page.elements if t == "img" and not (a.get("src") or "").startswith("data:")]
    assert not [t for t, a in page.elements if t == "b" and not a]
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    said = " ".join(page.text.split())
    assert " ".join(text.split())[:200] in said


def test_contrast_in_both_themes(page):
    style = page.parts["style"][0]
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style.partition("@media")[0]))
    dark = {**light, **dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style.partition("@media")[2]))}
    for theme in (light, dark):

        def contrast(a: str, b: str, theme: dict[str, str] = theme) -> float:
            lighter, darker = sorted((_luminance(theme[a]), _luminance(theme[b])), reverse=True)
            return (lighter + 0.05) / (darker + 0.05)

        for ink in ("ink", "soft", "link"):
            assert contrast(ink, "bg") >= 4.5, ink
        for ink, ground in (("ink", "panel"), ("warn", "warn-bg"), ("tip", "tip-bg"), ("warn", "bg")):
            assert contrast(ink, ground) >= 4.5, ink
        for mark in ("s0", "s1", "s2", "s3", "accent", "focus", "field"):
            assert contrast(mark, "bg") >= 3, mark
        for step in range(10):
            ink = "h-ink" if step < 6 else "h-paper"
            assert contrast(ink, f"h{step}") >= 4.5, step
    steps = [_luminance(light[f"h{i}"]) for i in range(10)]
    assert steps == sorted(steps, reverse=True)


def _luminance(colour: str) -> float:
    """Relative luminance of sRGB (WCAG 2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_states(tmp_path):
    empty = build_report(fill(tmp_path / "empty", ran=False))
    assert "No records yet: 90 cells planned. Run: robex run made.yaml" in empty
    assert "<table" not in empty.partition('id="data"')[0]
    one = build_report(fill(tmp_path / "one", seeds=1))
    assert "One seed: intervals cover samples only" in one
    row = build_report(fill(tmp_path / "row", defenses=["Standard"]))
    assert 'class="rank"' not in row.partition('id="b1"')[2].partition("</section>")[0]
    with pytest.raises(RobexError, match="no suite has run here"):
        build_report(Store(tmp_path / "none"))


def test_the_size_of_a_row(tmp_path):
    """500 rows x 4 metrics x 5 seeds with 24 pictures stay below 1 MB, judged by what 40 rows add
    (tests/benchmarks/test_report_speed.py builds all of them)."""
    sizes = [len(build_report(large(tmp_path / f"{n}", n, shape=(1, 2, 2))).encode()) for n in (20, 60)]
    a_row = (sizes[1] - sizes[0]) / 40
    pictures = 24 * 2700  # noise of 28 x 28 pixels, in base64 with its words
    assert sizes[0] + 480 * a_row + pictures < 1_000_000


def test_more_than_a_thousand_rows_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark_core.board.site.view.MOST_ROWS", 4)
    monkeypatch.setattr("benchmark_core.board.site.page.MOST_ROWS", 4)
    html = build_report(fill(tmp_path / "s"))
    assert len(re.findall(r"<tr data-r=\"\d+\"[^>]* hidden>", html)) == 5
    assert "The first 4 of 9 rows are shown" in html


def test_published_numbers(store):
    lines = [
        PublishedLine(
            "robustness", "TRADES", "56.6", "55 ±2", "−1.6", "within tolerance", "Close.", "https://x.org/1"
        ),
        PublishedLine("robustness", "AT", "40", "55 ±2", "15", "differs", "Far.", "javascript:alert(1)"),
    ]
    page = Page(build_report(store, published={"made": lines}))
    assert "https://x.org/1" in page.attributes("a", "href")
    assert not [h for h in page.attributes("a", "href") if h.startswith("javascript")]
    assert "✓ within tolerance" in page.text
    assert "✕ differs" in page.text


def test_the_gallery_shows_the_first_common_samples(page, store):
    images = [a for t, a in page.elements if t == "img"]
    assert 0 < len(images) <= 24
    assert all(a["alt"] and int(a["width"] or 0) <= 96 for a in images)
    assert "Sample 5 · label cat: the input" in (images[0]["alt"] or "")
    task = store.record(next(store.find(k) for k in [store.suite("made")["cells"][0][3]]))["inputs"]["task"]
    x = store.tensors(task, numpy=True)["x_test"][5, 0]
    np.testing.assert_array_equal(_decode(images[0]["src"] or ""), np.rint(x * 255).astype(np.uint8))


def test_the_gallery_says_by_which_rule_methods_are_shown(page):
    assert (
        "Of the suite's attacks the first is shown, and of its explainers the first of each kind: "
        "1 more method not drawn: ecco."
    ) in page.text


def test_a_picture_of_the_gallery_says_what_it_is(html, page):
    """A stranger knows neither pgd nor ecco; nor what is drawn of a suite without attributions."""
    for said in ("test sample 5", "attacked by pgd", "attribution by saliency", "counterfactual by ecco cf"):
        assert f"<figcaption>{said}<br>" in html or f"<figcaption>{said}</figcaption>" in html, said
    assert "reads the input as " in page.text
    assert "Attributions: vermilion speaks for the explained class" in page.text


def test_without_attributions_their_colours_are_not_explained(tmp_path):
    page = Page(build_report(fill(tmp_path / "s", explainers=("random",))))
    assert "counterfactual by random cf" in page.text
    assert "vermilion" not in page.text


def test_more_than_four_explainers_are_small_pictures_with_one_note(tmp_path):
    names = [f"e{i}" for i in range(5)]
    few = build_report(fill(tmp_path / "few", explainers=("random", *names[:4]))).partition("<script")[0]
    many = build_report(fill(tmp_path / "many", explainers=("random", *names))).partition("<script")[0]
    assert few.count('class="picture"') == 1
    assert few.count('<ul class="legend">') == 1
    assert '<div class="pictures many">' not in few
    assert many.count('class="picture"') == 5
    assert many.count('<div class="pictures many">') == 1
    assert '<ul class="legend">' not in many, "their titles name the explainers"
    assert many.count("Left out: control random") == few.count("Left out: control random") == 1
    assert all(f">digits · {name}</text>" in many for name in names)


def test_help_and_footers_stand_once(html, store):
    for said in (
        "Rows that share a letter",
        "Press a number",
        "Intervals: 95 %, over seeds and samples. Ranks",
    ):
        assert html.partition("<script")[0].count(said) == 1, said
    first = html.partition('id="b1"')[2].partition("</section>")[0]
    assert "Press a number to see how it was made." in first
    two = build_report(store, ["made", "made"])
    assert two.partition("<script")[0].count("Rows that share a letter") == 2  # once a suite


def test_a_word_has_one_pill_in_a_row_and_notes_name_theirs(store):
    manifest = store.suite("made")
    tables = [make_board(store, manifest, b) for b in boards_of(manifest)]
    (block,) = tables[1].blocks
    flags = (Flag("like noise", "First reason."), Flag("like noise", "Second reason."), Flag("NaN", "Third."))
    rows = (replace(block.rows[0], flags=flags), *block.rows[1:])
    page = Page(
        build_report(store, tables=[tables[0], replace(tables[1], blocks=(replace(block, rows=rows),))])
    )
    assert page.text.count("⚠ like noise") == 1
    assert "First reason.\nSecond reason." in page.text
    cells = [row.cells[0] for row in block.rows]
    few = cells[2]._replace(estimate=cells[2].estimate._replace(state="few-samples", n=7))
    changed = replace(block.rows[2], cells=(few, *block.rows[2].cells[1:]))
    rows = (*block.rows[:2], changed, *block.rows[3:])
    notes = row_notes(replace(block, rows=rows), 0)
    assert f"{changed.name}: Only 7 samples: not ranked (10 are needed)." in notes


def test_png_of_colours_and_attributions():
    x = np.random.default_rng(0).random((3, 4, 6)).astype(np.float32)
    found = _decode(png.picture(x, np.zeros((3, 1, 1)), np.ones((3, 1, 1))))
    np.testing.assert_array_equal(found, np.rint(np.moveaxis(x, 0, -1) * 255).astype(np.uint8))
    values = np.array([[[1.0, 0.0], [-1.0, 0.5]]])
    heat = _decode(png.heat(values, 1.0))
    assert heat[0, 0].tolist() == [0xD5, 0x5E, 0x00]
    assert heat[0, 1].tolist() == [255, 255, 255]
    assert heat[1, 0].tolist() == [0x00, 0x72, 0xB2]
    assert max(_decode(png.picture(np.zeros((1, 200, 100)), np.zeros(1), np.ones(1))).shape) <= 64


def _decode(uri: str) -> np.ndarray:
    """The pixels of an unfiltered PNG."""
    data = base64.b64decode(uri.partition("base64,")[2])[8:]
    chunks = {}
    while data:
        (length,) = struct.unpack(">I", data[:4])
        name, body = data[4:8], data[8 : 8 + length]
        assert struct.unpack(">I", data[8 + length : 12 + length]) == (zlib.crc32(name + body),)
        chunks[name], data = body, data[12 + length :]
    width, height, _, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    channels = 3 if colour == 2 else 1
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert not lines[:, 0].any()
    pixels = lines[:, 1:].reshape(height, width, channels)
    return pixels if channels == 3 else pixels[..., 0]
