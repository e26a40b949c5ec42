"""What `robex kernels` keeps and draws: rows of what ran and nothing else, and a picture of them."""

import dataclasses
import xml.etree.ElementTree as ET

import pytest
import torch

from benchmark_core.cli.main import main
from benchmark_core.kernels import bench
from benchmark_core.kernels.cases import Case, all_cases, converted
from benchmark_core.kernels.dispatch import OPS, blocks, next_power_of_2, periodic
from benchmark_core.kernels.picture import roofline


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(bench, "copy_peak", lambda device: 50.0)
    monkeypatch.setattr(bench, "quantiles", lambda call, device: (call(), (1.0, 2.0, 3.0))[1])


SMALL = next(case for case in all_cases("bench") if str(case) == "linf_step-256x3x32x32")


def test_a_row_says_what_ran(tmp_path):
    told = []
    rows = list(bench.measure([SMALL], "cpu", ("ours", "eager", "peer"), skipped=told.append))
    assert [row.provider for row in rows] == ["ours", "peer: foolbox"]
    assert told == ["linf_step-256x3x32x32 float32: eager is ours on the CPU"]
    numbers = 256 * 3072
    ours = rows[0]
    assert ours.bytes == 4 * (4 * numbers + 2 * 3072)  # x_k, g, x and the result; the box
    assert (ours.median_ms, ours.p20_ms, ours.p80_ms) == (2.0, 1.0, 3.0)
    assert ours.gb_s == pytest.approx(ours.bytes / 2e-3 / 1e9)
    assert ours.share == pytest.approx(ours.gb_s / 50)
    assert (ours.driver, ours.triton, ours.torch) == ("", "", torch.__version__)
    again = dataclasses.replace(ours, median_ms=1.5)
    (path,) = bench.append([*rows, again], tmp_path)
    assert path.name == f"{bench.slug(ours.device)}.csv"
    assert [(row.provider, row.median_ms) for row in bench.read(path)] == [
        ("ours", 1.5),
        ("peer: foolbox", 2.0),
    ]


def test_large_cases_are_left_out_with_a_reason():
    told = []
    assert not list(bench.measure([SMALL], "cpu", ("ours",), max_bytes=1000, skipped=told.append))
    assert told == ["linf_step-256x3x32x32 float32: 13 MB, more than 0 MB (--max-mb)"]


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="not a table of this version"):
        bench.read(path)


def test_the_picture_shows_every_row_and_the_peak():
    row = next(bench.measure([SMALL], "cpu", ("ours",)))
    by_computing = dataclasses.replace(
        row, op="kde_logpdf", bound="matrix", flops=1e9, tflop_s=0.5, peak=2.0, share=0.25
    )
    page = ET.fromstring(roofline([row, by_computing]))
    titles = [node.text for node in page.iter("{http://www.w3.org/2000/svg}title")]
    assert sum("linf_step 256x3x32x32 float32, ours" in (t or "") for t in titles) == 1
    assert sum("kde_logpdf" in (t or "") and "25%" in (t or "") for t in titles) == 1
    texts = [node.text for node in page.iter("{http://www.w3.org/2000/svg}text")]
    assert "measured peak 50 GB/s" in texts
    assert "measured peak 2 TFLOP/s" in texts
    with pytest.raises(ValueError, match="no rows"):
        roofline([])


def test_the_verbs(tmp_path, capsys):
    assert main(["kernels", "list"]) == 0
    assert "topk_box_projection" in capsys.readouterr().out
    folder = str(tmp_path / "tables")
    assert main(["kernels", "report", "--results", folder]) == 2
    assert "no tables" in capsys.readouterr().err
    assert main(["kernels", "bench", "lynf_step"]) == 2
    assert 'did you mean "linf_step"?' in capsys.readouterr().err
    command = ["kernels", "bench", "path_points", "--provider", "ours", "--results", folder]
    assert main(command) == 0
    assert "1 rows appended" in capsys.readouterr().out
    assert main(["kernels", "report", "--results", folder]) == 0
    assert "path_points" in capsys.readouterr().out
    assert len(list((tmp_path / "tables").glob("*.svg"))) == 1


def test_bounds_meet_their_elements():
    """Element i of x meets element i % period, however the bounds broadcast."""
    x = torch.rand(4, 3, 5)
    for bounds in (
        (torch.tensor(0.5), torch.rand(())),
        (torch.rand(3, 5), torch.rand(1, 3, 5)),
        (torch.rand(3, 1), torch.rand(5)),
        (torch.rand(4, 1, 1), torch.rand(3, 5)),
    ):
        *same, period = periodic(x, *bounds)
        i = torch.arange(x.numel()) % period
        for given, found in zip(bounds, same, strict=True):
            assert found.is_contiguous()
            assert torch.equal(found.flatten()[i].view(x.shape), given.expand(x.shape))


def test_helpers():
    assert [blocks(n, 4) for n in (0, 1, 4, 5)] == [(0,), (1,), (1,), (2,)]
    assert [next_power_of_2(n) for n in (1, 2, 3, 1024, 1025)] == [1, 2, 4, 1024, 2048]
    ints, floats, number = converted((torch.ones(2, dtype=torch.int64), torch.ones(2), 3), torch.float16)
    assert (ints.dtype, floats.dtype, number) == (torch.int64, torch.float16, 3)
    assert all(isinstance(case, Case) and case.operation is OPS[case.op] for case in all_cases())
