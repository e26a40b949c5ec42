"""Path rules against their defining properties, the accumulation against a loop over single points."""

import pytest
import torch

from benchmark_core.kernels.path import path_integral, path_points, path_rule

RULES = ("gauss-legendre", "trapezoid", "left", "right", "middle")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [2, 3, 50])
def test_weights_sum_to_one_and_nodes_stay_on_the_path(rule, steps):
    alpha, weight = path_rule(rule, steps)
    assert alpha.shape == weight.shape == (steps,)
    torch.testing.assert_close(weight.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert (alpha.diff() > 0).all()
    assert 0 <= alpha[0] <= alpha[-1] <= 1


@pytest.mark.parametrize(
    ("rule", "degree"), [("gauss-legendre", 7), ("trapezoid", 1), ("middle", 1), ("left", 0), ("right", 0)]
)
def test_polynomials_up_to_the_degree_of_the_rule_are_exact_and_the_next_is_not(rule, degree):
    alpha, weight = path_rule(rule, 4)
    for power in range(degree + 1):
        assert (weight @ alpha**power).item() == pytest.approx(1 / (power + 1), abs=1e-13)
    assert (weight @ alpha ** (degree + 1)).item() != pytest.approx(1 / (degree + 2), abs=1e-6)


def test_left_and_right_bound_a_growing_function_by_their_known_error():
    for rule, sign in (("left", -1), ("right", 1)):
        alpha, weight = path_rule(rule, 20)
        assert (weight @ alpha).item() == pytest.approx(0.5 + sign / 40)  # 1/2 -+ 1/(2n)


@pytest.mark.parametrize(("rule", "steps"), [("trapezoid", 1), ("left", 0), ("simpson", 3)])
def test_impossible_rules_are_refused(rule, steps):
    with pytest.raises(ValueError, match="path rule"):
        path_rule(rule, steps)


def test_points_lie_between_baseline_and_input():
    x, b = torch.rand(3, 2, 2, dtype=torch.float64), torch.rand(3, 2, 2, dtype=torch.float64)
    points = path_points(x, b, torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64))
    torch.testing.assert_close(points, torch.stack([b, 0.75 * b + 0.25 * x, x]))


@pytest.mark.parametrize("max_points", [1, 3, 7, 20, 10_000])
@pytest.mark.parametrize("shared", [False, True])
def test_integral_equals_a_loop_over_single_points(max_points, shared):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(7, 2, 3, dtype=torch.float64, generator=g)
    b = torch.randn(1 if shared else 7, 2, 3, dtype=torch.float64, generator=g)
    scale = torch.arange(1.0, 8, dtype=torch.float64)  # F differs by sample: F_i(x) = i sum x^3
    alpha, weight = path_rule("trapezoid", 5)
    sizes = []

    def gradient(points, rows):
        sizes.append(len(points))
        each = scale[rows].repeat(len(points) // len(scale[rows]))
        return 3 * each.view(-1, 1, 1) * points**2

    found = path_integral(gradient, x, b, alpha, weight, max_points)
    expected = torch.zeros_like(x)
    for i in range(7):
        start = b[0 if shared else i]
        for a, w in zip(alpha, weight, strict=True):
            expected[i] += w * 3 * scale[i] * (start + a * (x[i] - start)) ** 2
    torch.testing.assert_close(found, expected)
    assert max(sizes) <= max_points
    assert sum(sizes) == 7 * 5


def test_integral_of_channels_last_inputs():
    x = torch.rand(4, 3, 5, 5).to(memory_format=torch.channels_last)
    alpha, weight = path_rule("middle", 4)
    found = path_integral(lambda points, rows: 2 * points, x, torch.zeros_like(x[:1]), alpha, weight, 8)
    torch.testing.assert_close(found, x)  # int 2 a x da = x; the middle rule is exact for it
