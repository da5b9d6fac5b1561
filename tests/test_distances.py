"""Distances against loops in float64, their laws, and where float32 is at its end."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from siamese_sklearn import distances
from siamese_sklearn.distances import DISTANCES, normalize, paired, pairwise

# depend on the difference of two rows only
NORMS = (
    "euclidean",
    "sqeuclidean",
    "manhattan",
)
DEGREE = {"euclidean": 1, "sqeuclidean": 2, "manhattan": 1, "cosine": 0}


def between(a, b, name):
    """Distance of two rows from its definition, in loops over Python floats."""
    difference = [x - y for x, y in zip(a, b, strict=True)]
    if name == "manhattan":
        return math.fsum(abs(x) for x in difference)
    if name == "cosine":
        dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
        return 1.0 - dot / (math.hypot(*a) * math.hypot(*b))
    square = math.fsum(x * x for x in difference)
    return square if name == "sqeuclidean" else math.sqrt(square)


def naive(left, right, name):
    rows, columns = left.double().tolist(), right.double().tolist()
    return torch.tensor(
        [[between(a, b, name) for b in columns] for a in rows], dtype=torch.float64
    )


def random_rows(n, d, seed=0, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_table_of_degrees_covers_the_distances():
    assert set(DEGREE) == set(DISTANCES)
    assert len(DISTANCES) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", DISTANCES)
def test_equals_the_definition(name, dtype):
    """40 and 30 rows: `torch.cdist` would switch to a matrix product above 25."""
    left, right = random_rows(40, 5, 0, dtype), random_rows(30, 5, 1, dtype)
    tolerance = (
        {"rtol": 1e-5, "atol": 1e-6}
        if dtype == torch.float32
        else {"rtol": 1e-11, "atol": 1e-13}
    )
    ours, ours_alone, ours_paired = (
        pairwise(left, right, name),
        pairwise(left, distance=name),
        paired(left[:30], right, name),
    )
    assert ours.dtype == ours_alone.dtype == ours_paired.dtype == dtype
    expected = naive(left, right, name)
    assert_close(ours.double(), expected, **tolerance)
    assert_close(ours_paired.double(), expected.diagonal(), **tolerance)
    assert_close(ours_alone.double(), naive(left, left, name), **tolerance)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    rows=st.lists(
        st.lists(
            st.floats(-100, 100, width=32, allow_subnormal=False),
            min_size=3,
            max_size=3,
        ),
        min_size=2,
        max_size=8,
    ),
    name=st.sampled_from(NORMS),
)
def test_float32_keeps_its_digits_whatever_the_rows(rows, name):
    """A product of rows of size 100 alone would leave errors of 100^2 * 2^-24 = 6e-4 in
    the squares.

    The tolerance follows the threshold of 1e-3 below which distances are taken again:
    ten times 2^-24 / 1e-3.
    """
    rows = torch.tensor(rows, dtype=torch.float32)
    ours = pairwise(rows, distance=name).double()
    assert_close(ours, naive(rows, rows, name), rtol=6e-4, atol=1e-12)
    assert (ours.diagonal() == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("step", [1e-1, 4e-2, 3e-2, 2e-2, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("name", NORMS)
def test_near_duplicates_of_unit_norm_keep_distance_and_gradient(name, step):
    """The gradient of |a - b| is the unit vector (a - b) / |a - b|.

    Squares above the threshold of 1e-3 keep 2^-24 / 1e-3 = 6e-5 of themselves.
    """
    left = normalize(random_rows(30, 16, 0, torch.float32))
    rows = torch.cat(
        [left, left + step * normalize(random_rows(30, 16, 1, torch.float32))]
    ).requires_grad_()
    ours = pairwise(rows, distance=name)
    assert_close(ours.double(), naive(rows, rows, name), rtol=6e-5, atol=1e-30)
    twin = torch.arange(30)
    (gradient,) = torch.autograd.grad(ours[twin, twin + 30].sum(), rows)
    difference = (rows[:30] - rows[30:]).detach()
    expected = {
        "euclidean": difference / difference.norm(dim=1, keepdim=True),
        "sqeuclidean": 2 * difference,
        "manhattan": difference.sign(),
    }[name]
    assert_close(
        gradient, torch.cat([expected, -expected]), rtol=6e-5, atol=6e-5 * step
    )


@pytest.mark.parametrize("name", ["euclidean", "sqeuclidean"])
def test_near_duplicates_of_two_sets_keep_distance_and_gradient(name):
    left = normalize(random_rows(30, 16, 0, torch.float32)).requires_grad_()
    right = left.detach()[:20] + 1e-6 * normalize(random_rows(20, 16, 1, torch.float32))
    right.requires_grad_()
    ours = pairwise(left, right, name)
    assert_close(ours.double(), naive(left, right, name), rtol=1e-5, atol=1e-30)
    apart = paired(left[:20], right, name)
    assert_close(ours.diagonal(), apart)
    ours = torch.autograd.grad(ours.diagonal().sum(), (left, right))
    assert_close(
        ours, torch.autograd.grad(apart.sum(), (left, right)), rtol=1e-5, atol=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_tiny_distance_does_not_drown_the_gradient_of_the_others(seed):
    """Rows 0 and 1 are 1e-12 apart, which gives their distance a weight of 1e12 in a
    gradient by products.
    """
    rows = random_rows(8, 16, seed, torch.float32)
    rows[1] = rows[0]
    rows[0, 0], rows[1, 0] = 1e-12, 0.0
    weight = random_rows(8, 8, seed + 100, torch.float32)
    ours, exact = rows.clone().requires_grad_(), rows.double().requires_grad_()
    (pairwise(ours) * weight).sum().backward()
    (
        torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist") * weight
    ).sum().backward()
    assert_close(ours.grad.double(), exact.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("at_once", [1, 7, 64])
def test_taking_again_in_slices_changes_nothing(monkeypatch, at_once):
    rows = (1e-3 * random_rows(12, 3, 0)).index_add(
        0, torch.arange(6), torch.ones(6, 3, dtype=torch.float64)
    )
    rows.requires_grad_()
    whole = pairwise(rows)
    (whole_gradient,) = torch.autograd.grad(whole.square().sum(), rows)
    monkeypatch.setattr(distances, "_REFINED_AT_ONCE", at_once)
    sliced = pairwise(rows)
    (sliced_gradient,) = torch.autograd.grad(sliced.square().sum(), rows)
    assert torch.equal(sliced, whole)
    assert_close(sliced_gradient, whole_gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("n", [1, 2, 40])
def test_identical_rows_are_zero_apart_with_a_gradient_of_zero(name, n):
    rows = torch.full((n, 3), 0.3).requires_grad_()
    for distance in (
        pairwise(rows, distance=name),
        pairwise(rows, rows.clone(), name),
        paired(rows, rows, name),
    ):
        assert (distance == 0).all()
        (gradient,) = torch.autograd.grad(distance.sum(), rows)
        assert (gradient == 0).all()


@pytest.mark.parametrize("name", DISTANCES)
def test_a_duplicate_inside_a_batch_leaves_the_other_gradients_as_they_are(name):
    rows = random_rows(6, 3)
    once, twice = (
        rows.clone().requires_grad_(),
        torch.cat([rows, rows[:1]]).requires_grad_(),
    )
    pairwise(once, distance=name).sum().backward()
    pairwise(twice, distance=name).sum().backward()
    # what the duplicate adds: each distance to row 0 twice more
    to_first = rows.clone().requires_grad_()
    (2 * pairwise(to_first, rows[:1], name)).sum().backward()
    assert_close(
        twice.grad[1:6], once.grad[1:] + to_first.grad[1:], rtol=1e-10, atol=1e-12
    )
    assert_close(twice.grad[0], once.grad[0], rtol=1e-10, atol=1e-12)
    assert_close(twice.grad[6], once.grad[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("measure", [pairwise, paired])
def test_zero_rows_have_finite_distances_and_gradients(name, measure):
    left, right = (
        torch.zeros(2, 3, requires_grad=True),
        torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]),
    )
    distance = measure(left, right, name)
    from_zero = {
        "euclidean": 5.0,
        "sqeuclidean": 25.0,
        "manhattan": 7.0,
        "cosine": 0.5,
    }[name]
    assert_close(distance[..., -1], torch.full_like(distance[..., -1], from_zero))
    assert distance.flatten()[0] == 0
    (gradient,) = torch.autograd.grad(distance.sum(), left)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", DISTANCES)
def test_is_symmetric(name):
    left, right = random_rows(40, 4), random_rows(30, 4, 1)
    alone = pairwise(left, distance=name)
    assert_close(alone, alone.T, rtol=1e-12, atol=1e-14)
    assert_close(alone, pairwise(left, left.clone(), name), rtol=1e-12, atol=1e-14)
    assert_close(
        pairwise(left, right, name),
        pairwise(right, left, name).T,
        rtol=1e-12,
        atol=1e-14,
    )


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize(
    "measure", [pairwise, lambda rows, distance: paired(rows[1:], rows[:-1], distance)]
)
def test_does_not_depend_on_where_the_rows_lie(measure, name):
    """Multiples of 1/256 below 2^11 are exact in float32, before and after the
    shift.
    """
    rows = (
        torch.randint(-512, 512, (40, 4), generator=torch.Generator().manual_seed(0))
        / 256
    )
    assert_close(
        measure(rows + 1000, distance=name),
        measure(rows, distance=name),
        rtol=1e-5,
        atol=0,
    )


def test_rows_far_from_the_origin_need_no_more_differences():
    rows = random_rows(40, 4)
    _, row, column = distances._squared_distances(rows + 1000, rows + 1000)
    assert row.tolist() == column.tolist() == list(range(40))
    _, row, column = distances._squared_distances(rows + 1000, None)
    assert row.tolist() == column.tolist() == []


@pytest.mark.parametrize("exponent", [-40, 40])
@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize(
    "measure", [pairwise, lambda rows, distance: paired(rows[1:], rows[:-1], distance)]
)
def test_scales_with_the_rows_over_24_orders_of_magnitude(measure, name, exponent):
    """A power of two changes no digit."""
    rows, factor = random_rows(40, 4, 0, torch.float32), 2.0**exponent
    assert_close(
        measure(factor * rows, distance=name),
        factor ** DEGREE[name] * measure(rows, distance=name),
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 40),
    d=st.integers(1, 8),
    size=st.integers(-30, 30),
)
def test_cosine_lies_between_0_and_2(seed, n, d, size):
    rows = random_rows(n, d, seed, torch.float32) * 10.0**size
    rows = torch.cat([rows, -rows])
    distance = pairwise(rows, distance="cosine")
    assert (distance >= 0).all()
    assert (distance <= 2 + 1e-6).all()
    opposite = torch.full((n,), 2.0)
    assert_close(
        distance[torch.arange(n), torch.arange(n) + n], opposite, rtol=1e-6, atol=0
    )
    assert_close(paired(rows[:n], rows[n:], "cosine"), opposite, rtol=1e-6, atol=0)


def test_cosine_of_parallel_rows_is_zero_and_of_orthogonal_rows_one():
    rows = torch.tensor([[1.0, 0.0], [7.0, 0.0], [0.0, 1e-3]])
    expected = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    assert_close(pairwise(rows, distance="cosine"), expected)


def rows_with_near_duplicates():
    """Six rows; the last two are 1e-2 from the first two, close enough to be taken
    again by differences.
    """
    rows = random_rows(4, 3)
    return torch.cat(
        [rows, rows[:2] + 1e-2 * normalize(random_rows(2, 3, 1))]
    ).requires_grad_()


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTANCES)
def test_gradients_are_those_of_finite_differences(name):
    rows, other = rows_with_near_duplicates(), random_rows(5, 3, 2).requires_grad_()
    # a distance has a kink where two rows meet
    off_diagonal = ~torch.eye(6, dtype=torch.bool)
    assert torch.autograd.gradcheck(
        lambda z: pairwise(z, distance=name)[off_diagonal], rows
    )
    assert torch.autograd.gradcheck(lambda a, b: pairwise(a, b, name), (rows, other))
    assert torch.autograd.gradcheck(lambda a, b: paired(a[:5], b, name), (rows, other))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["euclidean", "sqeuclidean", "cosine"])
def test_second_derivatives_are_those_of_finite_differences(name):
    """As a penalty on gradients needs them; a silent zero would be worse than
    an error.
    """
    rows, other = rows_with_near_duplicates(), random_rows(2, 3, 2).requires_grad_()
    off_diagonal = ~torch.eye(6, dtype=torch.bool)
    assert torch.autograd.gradgradcheck(
        lambda z: pairwise(z, distance=name)[off_diagonal], rows
    )
    assert torch.autograd.gradgradcheck(
        lambda a, b: pairwise(a, b, name), (rows, other)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "used",
    [
        lambda distance: distance / distance.mean(),
        lambda distance: torch.softmax(-distance, dim=1),
        lambda distance: distance.square().sum(0),
    ],
    ids=["over their mean", "softmax", "summed"],
)
@pytest.mark.parametrize("name", ["euclidean", "sqeuclidean", "cosine"])
def test_second_derivatives_do_not_suffer_from_the_diagonal(name, used):
    rows = rows_with_near_duplicates()
    assert torch.autograd.gradgradcheck(
        lambda z: used(pairwise(z, distance=name)), rows
    )


def test_second_derivatives_of_identical_rows_are_finite():
    rows = torch.full((3, 2), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(pairwise(rows).sum(), rows, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), rows)
    assert second.isfinite().all()


@pytest.mark.parametrize("name", DISTANCES)
def test_autocast_costs_no_digits(name):
    rows = random_rows(30, 8, 0, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = pairwise(rows, distance=name)
    assert torch.equal(inside, pairwise(rows, distance=name))


@pytest.mark.parametrize("measure", [pairwise, paired])
def test_an_unknown_distance_is_an_error_that_guesses(measure):
    with pytest.raises(
        ValueError,
        match=r"^`distance` must be one of .*'cosin'\. Did you mean 'cosine'\?$",
    ):
        measure(torch.zeros(2, 2), torch.zeros(2, 2), "cosin")


@pytest.mark.parametrize("size", [1e-30, 1e-8, 1.0, 1e8, 1e30])
def test_normalize_gives_unit_length_at_any_size(size):
    rows = size * random_rows(5, 4, 0, torch.float32)
    assert_close(normalize(rows).norm(dim=1), torch.ones(5))
    assert_close(normalize(rows), normalize(rows / size))


def test_normalize_leaves_a_zero_row_with_a_finite_gradient():
    rows = torch.zeros(2, 3, requires_grad=True)
    units = normalize(rows)
    assert (units == 0).all()
    (gradient,) = torch.autograd.grad(units.sum(), rows)
    assert gradient.isfinite().all()


def test_normalize_has_the_gradient_of_finite_differences_at_right_angles_to_the_row():
    rows = random_rows(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(normalize, rows)
    (gradient,) = torch.autograd.grad(
        (normalize(rows) * random_rows(4, 3, 1)).sum(), rows
    )
    assert_close(
        (gradient * rows).sum(1),
        torch.zeros(4, dtype=torch.float64),
        rtol=0,
        atol=1e-14,
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", DISTANCES)
def test_half_precision_is_widened(name, dtype):
    left, right = random_rows(5, 3, 0).to(dtype), random_rows(4, 3, 1).to(dtype)
    calls = [
        (pairwise, (left, right)),
        (pairwise, (left, None)),
        (paired, (left[:4], right)),
    ]
    for call, sides in calls:
        ours = call(*sides, name)
        assert ours.dtype == torch.float32
        assert torch.equal(
            ours,
            call(*(side if side is None else side.float() for side in sides), name),
        )
