"""Decimals as integers: exact at every scale, and nothing raises."""

from hypothesis import example, given
from hypothesis import strategies as st

from openalgo_ws.encoding.scale import (
    MAX_SCALE,
    MAX_UNITS,
    exact_units,
    largest_scale,
    number,
    to_units,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
any_number = finite | st.integers() | st.integers(-(10**40), 10**40)


@example(0, [3786117515216338, -9999999999999998], 0)
@given(st.integers(0, 18), st.lists(st.integers(-MAX_UNITS, MAX_UNITS)), st.integers(0, 10))
def test_what_fits_comes_back_bit_by_bit(scale: int, units: list[int], floor: int) -> None:
    values = [number(each, scale) for each in units]

    found, told = exact_units(values, floor)

    assert found <= max(scale, floor)
    if largest_scale(values, MAX_UNITS) >= max(scale, floor):
        assert [number(each, found) for each in told] == values


@given(st.integers(0, 9), st.lists(st.integers(-(10**15), 10**15), min_size=1))
def test_the_smallest_scale_is_taken(scale: int, units: list[int]) -> None:
    values = [number(each, scale) for each in units]

    found, _ = exact_units(values, 0)

    assert found <= scale
    if found:
        assert any(
            number(each, found - 1) != value
            for each, value in zip(to_units(values, found - 1), values, strict=True)
        )


@given(st.lists(any_number), st.integers(0, MAX_SCALE))
@example([1e300, 1e-300], 2)
@example([2**63 - 1, 2**63, -(2**63)], 0)
@example([9007199254740993, 0.1], 0)
def test_every_number_has_units(values: list[float], floor: int) -> None:
    scale, units = exact_units(values, floor)

    assert units == to_units(values, scale)
    assert {type(each) for each in units} <= {int}
    assert 0 <= scale <= MAX_SCALE
    assert len(units) == len(values)
    assert all(-MAX_UNITS <= each <= MAX_UNITS for each in units)
    for each, value in zip(units, values, strict=True):
        if abs(each) < MAX_UNITS:
            assert abs(number(each, scale) - value) <= 0.5 * 10.0**-scale + abs(value) * 2**-52


@given(finite.filter(bool), st.integers(1, MAX_UNITS))
def test_the_largest_scale_leaves_room(value: float, limit: int) -> None:
    scale = largest_scale([value], limit)

    if scale:
        assert abs(to_units([value], scale)[0]) <= limit


def test_a_price_is_what_it_says() -> None:
    assert exact_units([625.05, 840.0], 2) == (2, [62505, 84000])
    assert to_units([625.05, 840.0, -37.63], 2) == [62505, 84000, -3763]
    assert exact_units([625.055], 2) == (3, [625055])
    assert exact_units([625.055, 1.0, -2], 0) == (3, [625055, 1000, -2000])
    assert exact_units([7, -3], 0) == (0, [7, -3])
    assert exact_units([], 4) == (4, [])
    assert to_units([0.5, 1.5, 2.5], 0) == [0, 2, 2]
