"""The sums behind the self-test's verdict: Welch's t, the crops, the controls, and what they mean together."""

import itertools
import math
import random
from pathlib import Path
from statistics import mean, variance

import pytest

from resetsvc.errors import WrongSettings
from resetsvc.selftest.addresses import read_lists
from resetsvc.selftest.measurement import PLANTED, Classes, Result, find, measure_until_decided
from resetsvc.selftest.statistics import CROPS, SMALLEST_CLASS, compare, quantile, welch
from resetsvc.selftest.verdict import Finding, Verdict, judge, worst


def noise(count: int, seed: int, more: float = 0.0) -> list[float]:
    """As answers are: a floor, a spread, and now and then one that is very slow."""
    chance = random.Random(seed)  # noqa: S311 -- samples that a seed decides
    return [
        1000 + more + chance.expovariate(1 / 100) + (20_000 if chance.random() < 0.01 else 0)
        for _ in range(count)
    ]


def test_welchs_t_by_hand() -> None:
    """Means 2 and 5, variances 1 and 4, three samples each: t = -3 / sqrt(1/3 + 4/3)."""
    test = welch([1, 2, 3], [3, 5, 7])
    assert test.difference == -3
    assert test.error == pytest.approx(math.sqrt(5 / 3))
    assert test.t == pytest.approx(-3 / math.sqrt(5 / 3))


def test_welchs_t_of_samples_of_unequal_size_and_spread() -> None:
    """Means 2 and 4; variances 2/3 and 10; four and five samples: t = -2 / sqrt(1/6 + 2)."""
    test = welch([1, 2, 2, 3], [0, 2, 4, 6, 8])
    assert test.t == pytest.approx(-2 / math.sqrt((2 / 3) / 4 + 10 / 5))


def test_welchs_t_counts_as_exact_fractions_do() -> None:
    first, second = noise(300, 41), noise(500, 42, more=10)
    error = math.sqrt(variance(first) / 300 + variance(second) / 500)
    assert welch(first, second).t == pytest.approx((mean(first) - mean(second)) / error, rel=1e-9)


def test_the_sign_says_which_class_is_slower() -> None:
    assert welch([3, 4, 5], [1, 2, 3]).t > 0
    assert welch([3, 4, 5], [1, 2, 3]).t == -welch([1, 2, 3], [3, 4, 5]).t


def test_samples_without_spread_are_either_equal_or_told_apart_for_certain() -> None:
    assert welch([5, 5, 5], [5, 5, 5]).t == 0
    assert welch([6, 6, 6], [5, 5, 5]).t == math.inf
    assert welch([4, 4, 4], [5, 5, 5]).t == -math.inf


def test_quantiles_lie_between_neighbours() -> None:
    assert quantile([10, 20, 30, 40, 50], 0.5) == 30
    assert quantile([10, 20, 30, 40], 0.5) == 25
    assert quantile([10, 20], 0.75) == 17.5
    assert (quantile([10, 20, 30], 0), quantile([10, 20, 30], 1), quantile([7], 0.3)) == (10, 30, 7)


def test_crops_are_those_of_dudect() -> None:
    assert CROPS[:3] == (0.5, 0.75, 0.875)
    assert tuple(1 - 0.5 ** (10 * (i + 1) / 10) for i in range(len(CROPS))) == CROPS


def test_a_crop_keeps_what_is_below_a_percentile_of_both_classes_together() -> None:
    first, second = noise(4000, 1), noise(4000, 2)
    compared = compare(first, second)
    assert compared.raw.kept == 1
    assert [test.kept for test in compared.tests[1:]] == list(CROPS)
    limit = quantile(sorted(first + second), 0.5)
    by_hand = welch([x for x in first if x < limit], [x for x in second if x < limit])
    assert compared.tests[1].t == by_hand.t


def test_crops_find_what_a_few_slow_answers_hide() -> None:
    compared = compare(noise(4000, 3, more=10), noise(4000, 4))
    assert abs(compared.raw.t) < 4.5
    assert compared.worst.kept < 1
    assert compared.t > 4.5


def test_a_crop_that_leaves_too_few_of_a_class_says_nothing() -> None:
    slow, fast = noise(1000, 5, more=100_000), noise(1000, 6)
    compared = compare(slow, fast)
    assert 0.5 not in [test.kept for test in compared.tests], "below the half there is one class only"
    assert compared.t > 10, "and still they are told apart"
    few = compare(slow[: SMALLEST_CLASS - 1], fast[: SMALLEST_CLASS - 1])
    assert len(few.tests) == 1


def test_classes_that_are_alike_stay_below_the_bound() -> None:
    for seed in range(40):
        assert abs(compare(noise(1000, 2 * seed), noise(1000, 2 * seed + 1)).t) < 4.5


T = (0.0, 4.49, 4.5, 9.99, 10.0, 50.0, math.inf)


@pytest.mark.parametrize(
    ("t", "same", "planted", "verdict"),
    [
        (0.0, 0.0, 11.0, Verdict.PASS),
        (4.49, 4.49, 10.1, Verdict.PASS),
        (4.5, 0.0, 50.0, Verdict.UNDECIDED),
        (9.99, 0.0, 50.0, Verdict.UNDECIDED),
        (9.99, 0.0, 0.0, Verdict.UNDECIDED),
        (10.0, 0.0, 50.0, Verdict.LEAK),
        (10.0, 4.49, 0.0, Verdict.LEAK),
        (math.inf, 0.0, 50.0, Verdict.LEAK),
        (0.0, 4.5, 50.0, Verdict.UNSOUND),
        (50.0, 4.5, 50.0, Verdict.UNSOUND),
        (0.0, 0.0, 10.0, Verdict.INSENSITIVE),
        (4.49, 0.0, 3.0, Verdict.INSENSITIVE),
        (0.0, 0.0, -50.0, Verdict.INSENSITIVE),
    ],
)
def test_the_verdict(t: float, same: float, planted: float, verdict: Verdict) -> None:
    assert judge(t, same, planted) is verdict


def test_the_direction_of_a_difference_does_not_excuse_it() -> None:
    for t, same in itertools.product(T, T):
        for planted in (0.0, 50.0):
            verdicts = {judge(x, y, planted) for x in (t, -t) for y in (same, -same)}
            assert len(verdicts) == 1


def test_nothing_passes_whose_planted_delay_was_not_found() -> None:
    for t, same in itertools.product(T, T):
        assert judge(t, same, 10.0) is not Verdict.PASS


def test_exit_codes() -> None:
    assert {verdict: verdict.exit_code for verdict in Verdict} == {
        Verdict.PASS: 0,
        Verdict.LEAK: 1,
        Verdict.UNDECIDED: 3,
        Verdict.INSENSITIVE: 3,
        Verdict.UNSOUND: 3,
    }


def test_the_whole_is_as_its_worst_part() -> None:
    assert worst([Verdict.PASS, Verdict.INSENSITIVE]) is Verdict.INSENSITIVE
    for verdict in Verdict:
        assert worst([verdict, Verdict.LEAK, Verdict.PASS]) is Verdict.LEAK
        assert worst([verdict, Verdict.PASS]) is verdict


def sampled(known: float = 0, planted: float = 50, count: int = 4000, drift: float = 0) -> Finding:
    """Samples of a run whose classes differ by so much, in microseconds; and whose A/A halves do, by `drift`."""
    unknown = noise(count, 11)
    unknown[0::2] = [value + drift for value in unknown[0::2]]
    samples = {"known": noise(count, 12, known), "unknown": unknown, PLANTED: noise(count, 13, planted)}
    return find("something", samples, ["known"], 50)


def test_a_run_with_equal_classes_passes_and_says_what_it_would_have_found() -> None:
    finding = sampled()
    assert finding.verdict is Verdict.PASS
    assert finding.planted.t > 10
    assert finding.finds_from == pytest.approx(50 * 10 / finding.planted.t)
    assert finding.factor_needed < 1


def test_a_run_with_a_slower_class_is_a_leak() -> None:
    finding = sampled(known=50)
    assert finding.verdict is Verdict.LEAK
    assert finding.t == finding.comparisons["known - unknown"].t > 10
    assert sampled(known=-50).verdict is Verdict.LEAK


def test_a_run_with_too_few_samples_says_how_many_it_takes() -> None:
    finding = sampled(count=120)
    assert finding.verdict is Verdict.INSENSITIVE
    assert 1 < finding.factor_needed < 20


def test_a_run_that_does_not_find_the_planted_delay_at_all_is_not_sensitive() -> None:
    finding = sampled(planted=-20)
    assert finding.verdict is Verdict.INSENSITIVE
    assert finding.factor_needed == finding.finds_from == math.inf


def test_a_run_whose_halves_differ_is_not_believed() -> None:
    assert sampled(known=50, drift=50).verdict is Verdict.UNSOUND


def test_a_leak_among_several_classes_is_found_whichever_it_is() -> None:
    samples = {"known": noise(4000, 21), "unknown": noise(4000, 22), "disabled": noise(4000, 23, 50)}
    finding = find("something", {**samples, PLANTED: noise(4000, 24, 50)}, ["known", "disabled"], 50)
    assert abs(finding.comparisons["known - unknown"].t) < 4.5
    assert finding.verdict is Verdict.LEAK


# The order of the requests.

LISTS = {name: [f"{name[0]}{number}@example.com" for number in range(300)] for name in ("known", "unknown")}


def test_every_class_is_asked_equally_often_with_addresses_of_its_own() -> None:
    asked = list(Classes(LISTS, seed=1).one_round(1000))
    for name, addresses in {**LISTS, PLANTED: LISTS["unknown"]}.items():
        of_class = [address for class_name, address, _ in asked if class_name == name]
        assert len(of_class) == 1000
        assert set(of_class) == set(addresses)
        assert set(of_class[:300]) == set(addresses), "all of them before any of them again"


def test_classes_are_interleaved() -> None:
    order = [name for name, _, _ in Classes(LISTS, seed=1).one_round(1000)]
    for begin in range(0, 3000, 300):
        for name in set(order):
            assert 60 < order[begin : begin + 300].count(name) < 140


def test_the_first_hundredth_does_not_count() -> None:
    counted = [counts for _, _, counts in Classes(LISTS, seed=1).one_round(1000)]
    assert counted == [False] * 30 + [True] * 2970


def test_a_seed_decides_the_order() -> None:
    def order(seed: int) -> list[tuple[str, str, bool]]:
        return list(Classes(LISTS, seed).one_round(200))

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_a_second_round_has_another_order() -> None:
    classes = Classes(LISTS, seed=1)
    assert [name for name, *_ in classes.one_round(200)] != [name for name, *_ in classes.one_round(200)]


class Foretold:
    """A measurement whose verdicts are known beforehand."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = verdicts
        self.taken: list[int] = []

    def measure(self, samples: int) -> None:
        self.taken.append(samples)

    def result(self, rounds: int) -> Result:
        findings = {
            Verdict.PASS: sampled(),
            Verdict.LEAK: sampled(known=50),
            Verdict.INSENSITIVE: sampled(count=120),
        }
        return Result("timing", [findings[self.verdicts[rounds - 1]]], {}, rounds)


@pytest.mark.parametrize(
    ("verdicts", "taken"),
    [
        ([Verdict.PASS], [100]),
        ([Verdict.LEAK], [100]),
        ([Verdict.INSENSITIVE, Verdict.PASS], [100, 100]),
        ([Verdict.INSENSITIVE] * 3, [100, 100, 200]),
    ],
)
def test_what_is_undecided_is_measured_again_with_more_up_to_a_bound(
    verdicts: list[Verdict], taken: list[int]
) -> None:
    measurement = Foretold(*verdicts)
    result = measure_until_decided(measurement, 100, repeats=2, tell=lambda _: None)
    assert measurement.taken == taken
    assert result.verdict is verdicts[-1]
    assert result.rounds == len(taken)


def test_answers_that_differ_are_a_leak_however_fast_they_come() -> None:
    assert Result("timing", [sampled()], {}, 1, unequal=["known"]).verdict is Verdict.LEAK


# The lists.


def write(folder: Path, **lists: list[str]) -> dict[str, Path]:
    files = {}
    for name, addresses in lists.items():
        files[name] = folder / f"{name}.txt"
        files[name].write_text("\n".join(addresses) + "\n")
    return files


def many(letter: str, count: int = 1000, width: int = 6) -> list[str]:
    return [f"{letter}{number:0{width}}@example.com" for number in range(count)]


def refused(files: dict[str, Path], samples: int = 10_000) -> str:
    with pytest.raises(WrongSettings) as caught:
        read_lists(files, samples)
    return str(caught.value)


def test_good_lists_are_read(tmp_path: Path) -> None:
    files = write(tmp_path, known=many("k"), unknown=many("u"), disabled=many("d"))
    files["known"].write_text("\n".join(["", *many("K"), " "]))
    assert read_lists(files, 10_000) == {"known": many("k"), "unknown": many("u"), "disabled": many("d")}


def test_lists_whose_addresses_are_not_equally_long_are_refused(tmp_path: Path) -> None:
    longer = many("u", 985) + many("u", 15, width=7)
    problem = refused(write(tmp_path, known=many("k"), unknown=longer))
    assert "--known and --unknown are not equally long" in problem
    assert "1000 of 1000 and 985 of 1000 have 21 octets" in problem, problem


def test_the_length_is_that_on_the_wire(tmp_path: Path) -> None:
    plus = [f"u+{number:05}@example.com" for number in range(1000)]
    assert len(plus[0]) == len(many("k")[0])
    assert "not equally long" in refused(write(tmp_path, known=many("k"), unknown=plus))


def test_lists_of_other_sizes_with_the_same_lengths_are_good(tmp_path: Path) -> None:
    files = write(tmp_path, known=many("k", 2000), unknown=many("u", 1000) + many("v", 500))
    assert [len(addresses) for addresses in read_lists(files, 10_000).values()] == [2000, 1500]


def test_lists_that_are_too_short_for_caches_are_refused(tmp_path: Path) -> None:
    files = write(tmp_path, known=many("k", 999) + many("k", 500), unknown=many("u"))
    assert "--known has 999 addresses, 1000 are needed" in refused(files)
    assert "--known has 999 addresses, 1500" not in refused(files)
    files = write(tmp_path, known=many("k", 300), unknown=many("u", 300))
    assert read_lists(files, 300), "no more than there are samples"


def test_an_address_in_two_lists_is_refused(tmp_path: Path) -> None:
    files = write(tmp_path, known=many("k"), unknown=[*many("u", 999), "K000007@example.com"])
    assert "--unknown and --known have addresses in common" in refused(files)


def test_what_is_no_address_is_told_by_its_line(tmp_path: Path) -> None:
    files = write(tmp_path, known=["ann@example.com", "ann"], unknown=["a@b,c@d"])
    problem = refused(files)
    assert "known.txt, line 2: not an e-mail address" in problem
    assert "unknown.txt, line 1: not an e-mail address" in problem
