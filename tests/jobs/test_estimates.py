"""Rates and remaining time of the job card."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.views import charts, estimates

MIB = 2**20


def _steady(seconds: int, rate: int) -> list[list[float]]:
    return [[float(t), t * rate, t * rate, t * rate // 2] for t in range(1, seconds + 1)]


def test_a_steady_job_has_a_narrow_range() -> None:
    samples = _steady(60, MIB)
    left = estimates.remaining(samples, done=60 * MIB, total=180 * MIB)
    assert left is not None
    assert left.shortest == 120
    assert 120 <= left.longest <= 133


def test_nothing_is_promised_below_five_percent() -> None:
    assert estimates.remaining(_steady(60, MIB), done=60 * MIB, total=2000 * MIB) is None


def test_nothing_is_promised_when_the_total_is_unknown_or_reached() -> None:
    samples = _steady(60, MIB)
    assert estimates.remaining(samples, done=60 * MIB, total=None) is None
    assert estimates.remaining(samples, done=60 * MIB, total=60 * MIB) is None


def test_a_job_that_slows_down_gets_a_wide_range() -> None:
    samples = [*_steady(60, 10 * MIB)]
    done = 600 * MIB
    for second in range(61, 91):
        done += MIB
        samples.append([float(second), done, done, done])
    left = estimates.remaining(samples, done=done, total=1200 * MIB)
    assert left is not None
    assert left.longest > 4 * left.shortest


@given(
    seconds=st.integers(5, 100),
    rate=st.integers(1, 10**9),
    total_factor=st.floats(1.0001, 19),
)
def test_it_never_says_zero_seconds(seconds: int, rate: int, total_factor: float) -> None:
    done = seconds * rate
    left = estimates.remaining(_steady(seconds, rate), done=done, total=int(done * total_factor) + 1)
    assert left is None or 1 <= left.shortest <= left.longest


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 2**50)), max_size=120))
def test_any_samples_give_rates_that_are_no_nonsense(points: list[tuple[float, int]]) -> None:
    samples = [[t, done, done, done] for t, done in sorted(points)]
    found = estimates.rate(samples, estimates.READ)
    assert found is None or found >= 0
    assert all(value >= 0 for _, value in estimates.rates_over_time(samples, estimates.READ))


def test_a_sparkline_stays_inside_its_box() -> None:
    points = estimates.rates_over_time(_steady(100, MIB), estimates.DONE)
    line = charts.sparkline(points, points, width=600, height=96)
    assert line is not None
    places = [tuple(map(float, pair.split(","))) for pair in line.first.points.split()]
    assert all(0 <= x <= 600 and 0 <= y <= 96 for x, y in places)
    assert charts.sparkline([], []) is None
    assert charts.sparkline([(0, 0), (1, 0)], []) is None
