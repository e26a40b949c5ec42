"""The report in a real browser: what a reader can do with keys, mouse and clipboard, and what cannot run."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from site_store import HOSTILE, fill

from benchmark_core.board.latex import escape
from benchmark_core.board.site import PublishedLine, write_report

from .chromium import BROWSER, Chromium

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium (apt-get install chromium)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Chromium]:
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return write_report(fill(tmp_path_factory.mktemp("page") / "store", missing=[("Weak", "ecco")]))


def _ranks(browser: Chromium, block: str) -> dict[str, str]:
    return browser.js(
        f"Object.fromEntries([...document.querySelectorAll('#{block} tr[data-r]')].map(tr =>"
        " [[...tr.querySelectorAll('th')].map(e => e.textContent).join(' '),"
        " tr.querySelector('.rank span').textContent]))"
    )


def test_it_asks_nobody_and_complains_about_nothing(browser, page):
    browser.open(page)
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert browser.messages == []
    assert browser.js("document.documentElement.className") == "js"


@pytest.mark.parametrize("width", [390, 700, 1220])
@pytest.mark.parametrize("dark", [False, True])
def test_no_sideways_scroll(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    assert browser.js("document.documentElement.scrollWidth") == width
    if width == 390:  # rank, names and the ranked number are in sight
        for block in ("b1", "b2"):
            right = browser.js(
                f"Math.max(...[...document.querySelectorAll('#{block} .main tr')].map(tr =>"
                " tr.querySelector('td button').getBoundingClientRect().right))"
            )
            ranked = browser.js(
                f"document.querySelector('#{block} [aria-sort]').getBoundingClientRect().right"
            )
            assert right <= 390
            assert ranked <= 390


def test_names_that_begin_alike_are_whole_on_a_small_screen(browser, tmp_path):
    names = ("random", "target-class library-2024", "target-class library-2025")
    browser.open(write_report(fill(tmp_path / "s", explainers=names)), width=390)
    cut = browser.js(
        "[...document.querySelectorAll('#b2 th[scope=row]')].filter(th => [th, th.firstChild].some(e =>"
        " e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)).length"
    )
    assert cut == 0


@pytest.mark.parametrize("width", [390, 1220])
def test_no_text_of_a_picture_covers_another(browser, tmp_path, width):
    """Small pictures, one an explainer, have as little room as a small screen."""
    names = ("random", *(f"explainer {i}" for i in range(1 if width == 390 else 5)))
    defenses = ("Standard", "AT 0.05", "AT 0.1")
    browser.open(write_report(fill(tmp_path / "s", explainers=names, defenses=defenses)), width=width)
    covered = browser.js(
        """[...document.querySelectorAll(".picture svg[role=img]")].flatMap(svg => {
            const texts = [...svg.querySelectorAll("text")];
            const boxes = texts.map(e => e.getBoundingClientRect());
            return boxes.flatMap((a, i) => boxes.slice(i + 1).flatMap((b, j) =>
                Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
                Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4
                    ? [`${texts[i].textContent} | ${texts[i + 1 + j].textContent}`] : []));
        })"""
    )
    assert covered == []
    apart = browser.js(
        """[...document.querySelectorAll(".picture svg[role=img]")].map(svg => {
            const [ticks, name] = [".tick.end", ".axis[transform]"].map(s => [...svg.querySelectorAll(s)]);
            const right = name[0].getBoundingClientRect().right;
            return Math.min(...ticks.map(e => e.getBoundingClientRect().left)) - right;
        })"""
    )
    assert min(apart) > 3, "between the name of an axis and its numbers"
    tops = browser.js("[...document.querySelectorAll('.picture')].map(e => e.getBoundingClientRect().top)")
    assert (len(tops), len(set(tops))) == ((1, 1) if width == 390 else (5, 2))


def test_pictures_are_there_also_out_of_sight(browser, page):
    """So that a picture of the whole page has them."""
    browser.open(page)
    seen = browser.js(
        "[...document.querySelectorAll('figure, svg')].map(e => getComputedStyle(e).contentVisibility)"
    )
    assert set(seen) == {"visible"}


@pytest.mark.parametrize("width", [390, 1220])
def test_a_table_wider_than_its_box_says_so(browser, wide, width):
    browser.open(wide, width=width)
    browser.js("document.querySelectorAll('details').forEach(e => (e.open = true))")
    browser.js("new Promise(done => setTimeout(done, 100))")
    found = browser.js(
        """[...document.querySelectorAll(".scroll")].map(box => [
            box.scrollWidth > box.clientWidth,
            box.previousElementSibling.querySelector(".wide").checkVisibility(),
        ])"""
    )
    assert all(wider == told for wider, told in found)
    assert any(wider for wider, _ in found) == (width == 390)


def test_a_name_without_end_does_not_fill_the_page(browser, tmp_path):
    store = fill(tmp_path / "s", defenses=("Standard", HOSTILE[6]), explainers=("random", HOSTILE[6]))
    for width in (390, 1220):
        browser.open(write_report(store), width=width)
        assert browser.js("document.documentElement.scrollHeight") < 16_000
        assert browser.js("document.querySelector('.facts').getBoundingClientRect().top") < 820


def test_sorting_marks_who_leads_the_other_column(browser, page):
    browser.open(page)
    leads = "[...document.querySelectorAll('#b2 tr.lead')].map(tr => Number(tr.dataset.r))"
    first = browser.js(leads)
    data = browser.js("JSON.parse(document.getElementById('data').textContent).blocks.b2.columns")
    for c in (1, 0):
        browser.js(f"document.querySelector('#b2 .by[data-c=\"{c}\"]').click()")
        places = data[c]["places"]
        assert any(p and p[0] > 1 for p in places)
        assert browser.js(leads) == [r for r in data[c]["order"] if places[r] and places[r][0] == 1]
    assert browser.js(leads) == first != []


def test_the_whole_page_by_tab(browser, page):
    browser.open(page)
    wanted = browser.js(
        "[...document.querySelectorAll('a[href], button, input, summary, [tabindex]')]"
        ".filter(e => e.checkVisibility()).map((e, i) => (e.dataset.at = i)).length"
    )
    seen = set()
    for _ in range(wanted + 5):
        browser.press("Tab")
        seen.add(browser.js("document.activeElement.dataset.at"))
    assert len(seen - {None}) == wanted


def test_sorting_takes_the_other_columns_ranks_and_filtering_changes_none(browser, page):
    browser.open(page)
    first = _ranks(browser, "b2")
    browser.js("document.querySelector('#b2 .by[data-c=\"1\"]').click()")
    second = _ranks(browser, "b2")
    assert browser.js("document.querySelector('#b2 [aria-sort]').textContent") == "spread ↑"
    data = browser.js("JSON.parse(document.getElementById('data').textContent).blocks.b2.columns[1]")
    rows = browser.js("[...document.querySelectorAll('#b2 tr[data-r]')].map(tr => Number(tr.dataset.r))")
    assert rows == data["order"]
    places = [data["places"][r] and data["places"][r][:2] for r in rows]
    shown = ["–" if not p else f"{p[0]}" if p[0] == p[1] else f"{p[0]}–{p[1]}" for p in places]
    assert list(second.values()) == shown
    browser.js("document.querySelector('#b2 .by[data-c=\"0\"]').click()")
    assert _ranks(browser, "b2") == first
    browser.js("document.querySelector('#b2 input').focus()")
    browser.type("strong")
    assert browser.js("document.querySelector('#b2 .shown').textContent") == "3 of 9 rows"
    assert browser.js("[...document.querySelectorAll('#b2 tr[data-r]')].filter(tr => !tr.hidden).length") == 3
    assert _ranks(browser, "b2") == first


def test_the_drawer_opens_by_key_tells_and_gives_focus_back(browser, page):
    browser.open(page)
    browser.js("document.querySelector('#b1 td > button').focus()")
    browser.press("Enter")
    assert browser.js("document.getElementById('drawer').open")
    text = browser.js("document.getElementById('drawer').innerText")
    shown = browser.js("document.querySelector('#b1 td > button').innerText").replace("\n", " ")
    wanted = ("What robust-accuracy says. Higher is better.", "3 seeds × 40 samples", "per seed")
    for part in (*wanted, "2026-11-20 14:02 UTC", "robex 1.0.0", "robex run made.yaml --only "):
        assert part in text
    assert browser.js("document.querySelector('#drawer .value').textContent") == f"{shown} %"
    browser.press("Escape")
    assert not browser.js("document.getElementById('drawer').open")
    assert browser.js("document.activeElement === document.querySelector('#b1 td > button')")


def test_the_drawer_says_a_record_that_seeds_share_once(browser, tmp_path):
    store = fill(tmp_path / "s")
    manifest = store.suite("made")
    shared = {}
    for cell in manifest["cells"]:
        at = {k: v for k, v in cell[0].items() if k != "seed"}
        cell[1:] = shared.setdefault(str(at), cell[1:])
    store.write_suite("made", manifest)
    browser.open(write_report(store))
    browser.js("document.querySelectorAll('#b1 td > button')[1].click()")
    assert "noise" in browser.js("document.querySelector('#drawer h2').textContent")
    assert browser.js("document.querySelector('#drawer pre').textContent").count("--only") == 1
    assert re.search(r"\nrecord\n+[0-9a-f]{12}\n", browser.js("document.getElementById('drawer').innerText"))


def test_a_flag_explains_on_focus_and_escape_closes(browser, page):
    browser.open(page)
    browser.js("document.querySelector('#b2 .pill').focus()")
    shown = "getComputedStyle(document.querySelector('#b2 .tip')).display"
    assert browser.js(shown) == "block"
    browser.press("Escape")
    assert browser.js(shown) == "none"
    browser.js("document.activeElement.blur()")
    browser.hover("#b2 .pill")
    assert browser.js(shown) == "block"
    box = browser.js("(b => [b.left, b.right])(document.querySelector('#b2 .tip').getBoundingClientRect())")
    assert 0 <= box[0] < box[1] <= 1220


@pytest.mark.parametrize("form", ["md", "tex", "csv"])
def test_copies_hold_the_rows_shown_in_the_order_shown(browser, page, form):
    browser.open(page)
    browser.js(
        "Object.defineProperty(navigator, 'clipboard',"
        " {value: {writeText: async text => { window.copied = text }}})"
    )
    browser.js("document.querySelector('#b2 .by[data-c=\"1\"]').click()")
    browser.js("document.querySelector('#b2 input').value = 'strong'")
    browser.js("document.querySelector('#b2 input').dispatchEvent(new Event('input'))")
    browser.js(f"document.querySelector('#b2 [data-copy={form}]').click()")
    lines = browser.js("window.copied").splitlines()
    rows = [line for line in lines if "Strong" in line]
    order = [next(e for e in ("ecco", "saliency", "random") if e in row) for row in rows]
    assert list(dict.fromkeys(order)) == ["ecco", "saliency", "random"]
    assert len(rows) == (6 if form == "csv" else 3)
    assert browser.js("document.querySelector('#b2 .said').textContent") == "Copied 3 rows"
    if form == "md":
        assert {line.count("|") for line in lines} == {lines[0].count("|")}
    if form == "tex":
        assert len({line.count("&") for line in lines if "&" in line}) == 1
        assert r"$\pm$" in rows[0]


def test_a_refused_copy_says_so(browser, page):
    browser.open(page)
    browser.js("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    browser.js("document.execCommand = () => false")
    browser.js("document.querySelector('#b1 [data-copy=md]').click()")
    assert "failed" in browser.js("document.querySelector('#b1 .said').textContent")


def test_without_script_it_is_readable_and_sorted(browser, page, tmp_path):
    plain = tmp_path / "plain.html"
    plain.write_text(re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.S))
    browser.open(plain)
    assert browser.js("getComputedStyle(document.querySelector('#b1 .tools')).display") == "none"
    assert "Press a number" not in browser.js("document.body.innerText"), "nothing would happen"
    browser.open(page)
    assert "Press a number" in browser.js("document.body.innerText")
    browser.open(plain)
    assert browser.js("document.querySelector('#b2 .main .rank').innerText").startswith("1")


def test_paper_has_no_controls(browser, page):
    browser.open(page)
    browser.paper()
    assert browser.js("getComputedStyle(document.querySelector('.tools')).display") == "none"
    assert browser.js("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_a_board_of_fifteen_attacks_is_legible_on_paper(browser, tmp_path):
    """A4 upright has 718 px beside its margins: what is wider is printed smaller, by a fifth at most."""
    attacks = ("noise", *(f"pgd eps=0.{i}" for i in range(1, 10)), *(f"fgsm eps=0.{i}" for i in range(1, 6)))
    line = PublishedLine(
        "robustness", "digits · Standard · pgd eps=0.1 · robust-accuracy",
        "Standard < Weak < Strong < Another", "96.4 [93.0, 98.2]", "−0.7 [−4.1, 1.1]", "within tolerance",
        "Close.", "Table 2, Standard",
    )  # fmt: skip
    path = write_report(fill(tmp_path / "s", attacks=attacks), published={"made": [line]})
    browser.open(path, width=718)
    browser.paper()
    assert browser.js("[...document.querySelectorAll('table')].every(table => table.offsetWidth <= 900)")
    assert browser.js("getComputedStyle(document.querySelector('.live')).display") == "none"


def test_hostile_names_run_nothing(browser, tmp_path):
    store = fill(
        tmp_path / "s", name=HOSTILE[0], datasets=HOSTILE[1:3], defenses=HOSTILE[:4], explainers=HOSTILE[3:],
        attacks=("noise", HOSTILE[1]), missing=[(HOSTILE[0], HOSTILE[3])],
    )  # fmt: skip
    browser.open(write_report(store), width=390)
    browser.js("document.querySelectorAll('.by').forEach(e => e.click())")
    for form in ("md", "tex", "csv"):
        browser.js(f"document.querySelectorAll('[data-copy={form}]').forEach(e => e.click())")
    for i in range(0, 40, 7):
        browser.js(
            f"document.querySelectorAll('td > button')[{i}].click(); document.querySelector('.close').click()"
        )
    assert browser.js("window.hacked") is None
    assert browser.js("document.querySelectorAll('script').length") == 2
    assert browser.messages == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert browser.js("document.documentElement.scrollWidth") == 390
    assert browser.js("document.querySelector('h1 bdi').textContent") == HOSTILE[0]


@pytest.mark.parametrize("text", [HOSTILE[0], HOSTILE[1], HOSTILE[3], HOSTILE[5], HOSTILE[6]])
def test_hostile_text_everywhere_runs_nothing_and_fits(browser, tmp_path, text):
    store = fill(tmp_path / "s", datasets=("a", "b"), missing=[("Weak", "ecco")], text=text)
    line = PublishedLine(text, text, text, text, text, "differs", text, text)
    path = write_report(store, published={"made": [line]}, commands={"made": text})
    browser.open(path, width=390)
    browser.js("document.querySelectorAll('details').forEach(e => (e.open = true))")
    browser.js("document.querySelectorAll('.by').forEach(e => e.click())")
    browser.js("document.querySelectorAll('td > button')[0].click()")
    assert browser.js("window.hacked") is None
    assert browser.js("document.querySelectorAll('script').length") == 2
    assert browser.messages == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert browser.js("document.documentElement.scrollWidth") == 390


def test_latex_that_the_page_copies_is_escaped_as_everywhere(browser, tmp_path):
    names = HOSTILE[2:6]
    browser.open(write_report(fill(tmp_path / "s", defenses=names, explainers=("random", "a--b"))))
    browser.js(
        "Object.defineProperty(navigator, 'clipboard',"
        " {value: {writeText: async text => { window.copied = text }}})"
    )
    browser.js("document.querySelector('#b1 [data-copy=tex]').click()")
    copied = browser.js("window.copied")
    for name in names:
        assert escape(name) in copied


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Path:
    """Nine datasets: enough to compare three defenses by their mean ranks."""
    names = [f"data {d}" for d in range(9)]
    store = fill(tmp_path_factory.mktemp("wide") / "s", datasets=names, defenses=[*"ABCDE"][:3])
    return write_report(store)


@pytest.mark.parametrize("width", [390, 1220])
def test_across_datasets(browser, wide, width):
    browser.open(wide, width=width)
    section = "document.querySelector('#s1-across')"
    assert browser.js(f"{section}.querySelector('h2').textContent") == "Across datasets"
    assert browser.js("document.documentElement.scrollWidth") == width
    assert browser.js(f"{section}.querySelectorAll('svg').length") >= 1
    text = browser.js(f"{section}.querySelector('svg').textContent")
    assert "mean rank among these 3 rows" in text
    inside = browser.js(
        f"[...{section}.querySelectorAll('svg')[0].querySelectorAll('text')].every(e => {{"
        f" const [a, b] = [e.getBoundingClientRect(), e.ownerSVGElement.getBoundingClientRect()];"
        " return a.left >= b.left - 1 && a.right <= b.right + 1 && a.bottom <= b.bottom + 1; })"
    )
    assert inside
    records = browser.js(f"[...{section}.querySelectorAll('tbody')[0].rows].map(r => r.cells[1].textContent)")
    assert all(re.fullmatch(r"\d+-\d+-\d+", r) for r in records)
    assert sum(int(r.split("-")[0]) for r in records) == sum(int(r.split("-")[2]) for r in records)


def test_the_verb_writes_one_file(page, tmp_path):
    command = [str(Path(sys.executable).with_name("robex")), "report", str(page.parent), "-o", "page.html"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "Report: page.html   (one file, works offline)\n"
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_wide_boards_scroll_in_their_box_and_published_sources_are_whole(browser, tmp_path):
    attacks = ("noise", *(f"pgd eps=0.{i}" for i in range(1, 10)), *(f"fgsm eps=0.{i}" for i in range(1, 6)))
    source = "Table 2 of a paper with a long title, in its appendix, https://example.org/" + "x" * 40
    line = PublishedLine(
        "robustness", "digits · Standard · pgd eps=0.1 · robust-accuracy", "92.0 ±0.1", "96.4 [93.0, 98.2]",
        "−0.7 [−4.1, 1.1]", "within tolerance", "Close.", source,
    )  # fmt: skip
    path = write_report(fill(tmp_path / "s", attacks=attacks), published={"made": [line]})
    browser.open(path, width=1400)
    assert browser.js("document.documentElement.scrollWidth") == 1400
    hint = "document.querySelector('#{} .wide').checkVisibility()"
    browser.js("new Promise(done => setTimeout(done, 100))")
    assert browser.js(hint.format("b1"))
    assert not browser.js(hint.format("b2"))
    left, name = browser.js(
        """(box => {
            box.scrollLeft = 1e6;
            const cell = box.querySelector("tbody th.n1").getBoundingClientRect();
            return [box.getBoundingClientRect().left, cell.left];
        })(document.querySelector("#b1 .scroll"))"""
    )
    assert abs(left - name) < 1
    group, names = browser.js(
        """(box => {
            box.scrollLeft = 300;
            const at = (part) => box.querySelector(part).getBoundingClientRect();
            return [at(".group span").left, at("thead .n1").right];
        })(document.querySelector("#b1 .scroll"))"""
    )
    assert names <= group < names + 20, "the name of the metric stays beside the sticky names"
    assert browser.js(
        """(table => {
            const box = table.parentElement;
            const cell = table.querySelector("td.source");
            return table.offsetWidth <= box.clientWidth && cell.scrollWidth <= cell.clientWidth;
        })(document.querySelector("table.published"))"""
    )
