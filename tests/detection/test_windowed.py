"""What the three multivariate detectors have in common, each of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.detection.arrays import seal
from selfheal.detection.composite import CompositeDetector
from selfheal.detection.forest.detector import IsolationForestDetector
from selfheal.detection.protocols import MultivariateDetector
from selfheal.detection.svm import OneClassSVMDetector
from selfheal.detection.verdict import NOTHING_SAID, Verdict
from selfheal.detection.windowed import WindowDetector
from selfheal.errors import ConfigError, StateError
from tests.detection.multivariate import METRICS, START, STEP, Sample, server

KINDS: list[type[WindowDetector]] = [CompositeDetector, IsolationForestDetector, OneClassSVMDetector]
SMALL: Mapping[type[WindowDetector], dict[str, Any]] = {IsolationForestDetector: {"n_estimators": 20}}
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
LEARNT = 1500
NOW = START + LEARNT * STEP


def made(kind: type[WindowDetector], **options: Any) -> WindowDetector:
    return kind(METRICS, **{"max_rows": 500, **SMALL.get(kind, {}), **options})


@pytest.fixture(scope="module")
def learnt() -> dict[type[WindowDetector], str]:
    """Each detector after five days, as JSON text."""
    texts = {}
    for kind in KINDS:
        detector = made(kind)
        assert detector.warm_start(server(LEARNT)) == LEARNT
        texts[kind] = json.dumps(detector.to_dict())
    return texts


Texts = dict[type[WindowDetector], str]


def ordinary(n: int = 0) -> dict[str, float]:
    return dict(list(server(n + 1, seed=1, start=NOW))[-1][1])


@every
def test_it_keeps_the_protocol(kind: type[WindowDetector]) -> None:
    """Each is a multivariate detector, and knows its metrics in their order."""
    assert isinstance(made(kind), MultivariateDetector)
    assert made(kind).metrics == METRICS


@every
def test_before_anything_is_learnt_nothing_is_said(kind: type[WindowDetector]) -> None:
    """A cold start scores 0 and is not ready; there is no model yet."""
    detector = made(kind)

    assert detector.update(START, ordinary()) == NOTHING_SAID
    assert detector.fitted is None
    assert not detector.refit_due()
    assert detector.fitting() is None


@every
def test_what_was_never_seen_scores_and_is_named(kind: type[WindowDetector], learnt: Texts) -> None:
    """A metric far off what it ever was scores far beyond an ordinary sample, and is the first reason."""
    detector = kind.from_dict(json.loads(learnt[kind]))
    usual = [detector.update(t, x).score for t, x in server(100, seed=1, start=NOW)]
    t = NOW + 100 * STEP
    for n in range(6):
        verdict = detector.update(t + n * STEP, {**ordinary(100 + n), "memory": 75.0})

    assert verdict.ready
    assert verdict.score > 2.0 > 4.0 * float(np.median(usual))
    assert verdict.reasons[0].metric == "memory"
    assert verdict.reasons[0].value == 75.0
    assert verdict.reasons[0].expected == pytest.approx(60.0, abs=1.0)
    assert sum(reason.score for reason in verdict.reasons) <= verdict.score + 1e-9


@every
def test_of_many_metrics_the_one_that_is_off_is_named(kind: type[WindowDetector]) -> None:
    """Wherever it stands: one of forty far off is the first reason, and all are worth no more than the score."""
    metrics = [f"m{place:02}" for place in range(40)]
    draw = np.random.default_rng(3)
    rows = draw.normal(50.0, 1.0, (LEARNT + 6, len(metrics)))
    rows[LEARNT:, 38] += 40.0
    samples = [(START + n * STEP, dict(zip(metrics, row, strict=True))) for n, row in enumerate(rows.tolist())]
    detector = kind(metrics, max_rows=500)
    detector.warm_start(samples[:LEARNT])
    for t, x in samples[LEARNT:]:
        verdict = detector.update(t, x)

    assert verdict.reasons[0].metric == "m38"
    assert sum(reason.score for reason in verdict.reasons) <= verdict.score + 1e-9


@every
def test_a_value_of_another_time_of_day_is_unusual(kind: type[WindowDetector], learnt: Texts) -> None:
    """The CPU of noon at midnight is within its range, and still noticed."""
    detector = kind.from_dict(json.loads(learnt[kind]))
    dawn = next(sample for sample in server(400, seed=1, start=NOW) if sample[0] % 86_400.0 == 64_800.0)
    at_night, by_day = dict(dawn[1]), 58.0

    assert detector.score(dawn[0], {**at_night, "cpu": by_day}).score > detector.score(dawn[0], at_night).score


@every
def test_scoring_changes_nothing(kind: type[WindowDetector], learnt: Texts) -> None:
    """However often a sample is scored, what was learnt stays as it was."""
    detector = kind.from_dict(json.loads(learnt[kind]))
    first = detector.score(NOW, ordinary())

    assert detector.score(NOW, {**ordinary(), "cpu": math.inf}).score > 0.0
    assert detector.score(NOW, ordinary()) == first
    assert json.dumps(detector.to_dict()) == learnt[kind]


@every
def test_update_is_score_then_learn(kind: type[WindowDetector], learnt: Texts) -> None:
    """Both ways give the same verdicts and leave the same behind."""
    one, other = (kind.from_dict(json.loads(learnt[kind])) for _ in range(2))
    for t, x in server(80, seed=2, start=NOW):
        verdict = one.score(t, x)
        one.learn(t, x)
        assert other.update(t, x) == verdict

    assert one.to_dict() == other.to_dict()


@every
def test_the_same_samples_give_the_same_verdicts(kind: type[WindowDetector]) -> None:
    """Two detectors of one seed agree in everything, models and all."""
    verdicts = []
    for _ in range(2):
        detector = made(kind, seed=7)
        verdicts.append([detector.update(t, x) for t, x in server(400)])

    assert verdicts[0] == verdicts[1]


@every
def test_it_goes_on_from_text_as_if_nothing_had_been(kind: type[WindowDetector], learnt: Texts) -> None:
    """Saved as JSON and read, it gives the verdicts, and makes the models, of the one that went on."""
    stayed = made(kind)
    stayed.warm_start(server(LEARNT))
    back = kind.from_dict(json.loads(learnt[kind]))
    both = [(stayed.update(t, x), back.update(t, x)) for t, x in server(120, seed=3, start=NOW)]

    assert [one for one, _ in both] == [other for _, other in both]
    assert stayed.to_dict() == back.to_dict()


@every
def test_missing_values_are_left_out(kind: type[WindowDetector], learnt: Texts) -> None:
    """A metric that is missing does not alarm; others still do; a sample of nothing is not learnt."""
    detector = kind.from_dict(json.loads(learnt[kind]))
    before = json.dumps(detector.to_dict())

    assert detector.update(NOW, {}) == NOTHING_SAID
    assert detector.update(NOW, dict.fromkeys(METRICS, math.nan)) == NOTHING_SAID
    assert json.dumps(detector.to_dict()) == before
    partly = detector.score(NOW, {**ordinary(), "cpu": math.nan})
    assert {reason.metric for reason in partly.reasons} <= {"memory", "latency"}
    assert detector.score(NOW, {"memory": 90.0}).score > 1.0
    assert detector.score(NOW, {"memory": 90.0}).reasons[0].metric == "memory"


@every
def test_late_and_repeated_samples_are_not_learnt(kind: type[WindowDetector], learnt: Texts) -> None:
    """A time not after the latest leaves everything as it was."""
    detector = kind.from_dict(json.loads(learnt[kind]))
    before = json.dumps(detector.to_dict())
    detector.learn(NOW - STEP, ordinary())
    detector.learn(NOW - 9 * STEP, ordinary())

    assert json.dumps(detector.to_dict()) == before


@every
def test_a_gap_ends_the_mean_of_the_latest(kind: type[WindowDetector], learnt: Texts) -> None:
    """After hours of silence what went before says nothing: a quiet sample scores as a quiet one."""
    detector = kind.from_dict(json.loads(learnt[kind]))
    for n in range(6):
        detector.update(NOW + n * STEP, {**ordinary(n), "memory": 90.0})
    later = NOW + 86_400.0
    calm = kind.from_dict(json.loads(learnt[kind])).score(later, ordinary(288))

    assert detector.score(NOW + 6 * STEP, ordinary(6)).score > 1.0
    assert detector.score(later, ordinary(288)).score <= calm.score + 0.7


@every
def test_constant_metrics_score_nothing(kind: type[WindowDetector]) -> None:
    """Metrics that never change score 0, models or not, and one that then moves is seen."""
    detector = made(kind)
    scores = [detector.update(START + n * STEP, dict.fromkeys(METRICS, 5.0)).score for n in range(400)]

    assert detector.fitted is not None
    assert set(scores) == {0.0}
    assert detector.score(START + 400 * STEP, {**dict.fromkeys(METRICS, 5.0), "cpu": 6.0}).score > 1.0


@every
def test_reset_forgets_all(kind: type[WindowDetector], learnt: Texts) -> None:
    """A detector that was reset is as a new one of its settings."""
    detector = kind.from_dict(json.loads(learnt[kind]))
    detector.reset()

    assert detector.to_dict() == made(kind).to_dict()


def take(detector: WindowDetector, samples: Iterable[Sample]) -> None:
    for t, x in samples:
        detector.learn(t, x)


@every
def test_a_warm_start_fits_as_it_goes(kind: type[WindowDetector]) -> None:
    """Also where fitting is called for: a recorded past teaches the same, anchor included."""
    inline, called = (made(kind, refit=refit, anchor=28 * 86_400.0) for refit in ("inline", "called"))
    for detector in (inline, called):
        detector.warm_start(server(2016))
    sample = {**ordinary(2016 - LEARNT), "memory": 66.0}

    assert called.score(START + 2016 * STEP, sample) == inline.score(START + 2016 * STEP, sample)
    assert called.to_dict()["anchor"] == inline.to_dict()["anchor"] is not None


@every
def test_learning_never_fits_when_it_is_called_for(kind: type[WindowDetector]) -> None:
    """With refit='called' models come only from refit(), which is then due at first, when doubled, and on schedule."""
    detector = made(kind, refit="called", refit_every=36_000.0, max_rows=3_000)
    take(detector, server(64))
    assert detector.fitted is None
    assert detector.refit_due()

    detector.refit()
    assert detector.fitted is not None
    assert detector.fitted.rows == 64
    assert not detector.refit_due()

    take(detector, server(64, start=START + 64 * STEP))
    assert detector.refit_due()
    detector.refit()
    take(detector, server(120, start=START + 128 * STEP))
    assert detector.refit_due()


def test_what_lasts_with_pauses_stands_out_in_samples_of_every_minute() -> None:
    """Five minutes high and five as usual, for an hour: with a mean that fades over 20 minutes the pauses score too."""
    pauses = {}
    for lasting in (0.0, 1200.0):
        detector = CompositeDetector(METRICS, window=86_400.0, max_rows=300, lasting=lasting, refit_every=86_400.0)
        detector.warm_start(server(1440, step=60.0))
        now = START + 1440 * 60.0
        scores = []
        for n, (t, x) in enumerate(server(60, seed=1, step=60.0, start=now)):
            high = n // 5 % 2 == 0
            scores.append(detector.update(t, {**x, "memory": x["memory"] + (8.0 if high else 0.0)}).score)
        pauses[lasting] = min(scores[30:])

    assert pauses[1200.0] > pauses[0.0] + 0.3


@every
def test_a_model_is_fitted_apart_and_installed(kind: type[WindowDetector]) -> None:
    """While a model is fitted, the last one goes on; what was learnt meanwhile does not touch the fitting."""
    detector = made(kind, refit="called", max_rows=3_000)
    take(detector, server(100))
    job = detector.fitting()
    assert job is not None
    take(detector, server(100, seed=9, start=START + 100 * STEP))
    fitted = job()
    assert detector.fitted is None
    detector.install(fitted)

    assert detector.fitted is fitted
    assert fitted.rows == 100
    assert fitted.at == START + 99 * STEP


@every
def test_memory_is_bounded(kind: type[WindowDetector]) -> None:
    """Twice as many days leave no more behind, once each time of day was seen."""
    sizes = []
    for days in (5, 10):
        detector = made(kind, window=86_400.0, max_rows=64, smooth=3, refit_every=86_400.0)
        detector.warm_start(server(days * 288))
        sizes.append(len(json.dumps(detector.to_dict())))

    assert sizes[1] < 1.15 * sizes[0]


@every
def test_weight_zero_leaves_no_row(kind: type[WindowDetector]) -> None:
    """Samples of no weight never become part of the window."""
    detector = made(kind, refit="called")
    for t, x in server(100):
        detector.learn(t, x, 0.0)

    assert detector.fitting() is None


ANYTHING = st.dictionaries(st.sampled_from([*METRICS, "other"]), st.floats(allow_nan=True, allow_infinity=True))


@every
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(samples=st.lists(st.tuples(st.floats(-900.0, 900.0), ANYTHING), max_size=30))
def test_no_sample_breaks_it(kind: type[WindowDetector], samples: list[tuple[float, dict[str, float]]]) -> None:
    """Whatever comes, in whatever order: verdicts are numbers, and the record can be written and read."""
    detector = (
        made(kind, least=16, max_rows=64, n_estimators=3)
        if kind is IsolationForestDetector
        else made(kind, least=16, max_rows=64)
    )
    detector.warm_start(server(40))
    t = START + 40 * STEP
    for moved, x in samples:
        t += moved
        verdict = detector.update(t, x)
        assert isinstance(verdict, Verdict)
        assert 0.0 <= verdict.score <= 300.0
        assert all(0.0 <= reason.score <= 300.0 for reason in verdict.reasons)
    back = kind.from_dict(json.loads(json.dumps(detector.to_dict())))

    assert back.to_dict() == detector.to_dict()


@pytest.mark.parametrize("metrics", [(), ("cpu", "cpu"), "cpu", ("",), (1,), [f"m{n}" for n in range(201)]])
def test_bad_names_are_refused(metrics: Any) -> None:
    """No metric, one twice, bare text, blank or too many: told at once."""
    with pytest.raises(ConfigError, match="different names"):
        CompositeDetector(metrics)


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        (CompositeDetector, {"zone": "Mars/Phobos"}, "zone must be the name of a time zone"),
        (CompositeDetector, {"window": 60.0}, "window must be between 600"),
        (CompositeDetector, {"least": 100, "max_rows": 64}, "least must be at most max_rows"),
        (CompositeDetector, {"refit": "often"}, "refit must be one of"),
        (CompositeDetector, {"lasting": -1.0}, "lasting must be between 0"),
        (CompositeDetector, {"neighbours": 0}, "neighbours must be an integer between 1"),
        (IsolationForestDetector, {"n_estimators": 0}, "n_estimators must be an integer between 1"),
        (OneClassSVMDetector, {"nu": 0.0}, "nu must be between 0.001"),
    ],
)
def test_bad_settings_are_refused(kind: type[WindowDetector], options: dict[str, Any], told: str) -> None:
    """Each setting out of range is told with its bounds."""
    with pytest.raises(ConfigError, match=told):
        kind(METRICS, **options)


@every
@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"version": 1},
        {"metrics": []},
        {"metrics": ["cpu"]},
        {"config": {"zone": "UTC", "unknown": 1}},
        {"config": {"window": 1.0}},
        {"rows": {}},
        {"window": {}},
        {"calibrator": {}},
        {"lately": {}},
        {"fitted": {"at": 1.0, "rows": 1}},
        {"fitted": {"at": 1.0, "rows": 1, "model": {}}},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_damaged_record_is_refused(kind: type[WindowDetector], change: dict[str, Any], learnt: Texts) -> None:
    """A record with a right checksum and a wrong part raises, and never half a detector."""
    record = {key: value for key, value in json.loads(learnt[kind]).items() if key != "checksum"}
    with pytest.raises(StateError):
        kind.from_dict(seal({**record, **change}))


@every
def test_an_altered_record_is_refused(kind: type[WindowDetector], learnt: Texts) -> None:
    """One number changed by hand is noticed."""
    record = json.loads(learnt[kind])
    record["first"] = 0.5
    with pytest.raises(StateError, match="checksum"):
        kind.from_dict(record)


@every
def test_a_model_of_other_metrics_is_refused(kind: type[WindowDetector], learnt: Texts) -> None:
    """A model fitted to rows of another width does not get in by way of a record."""
    other = kind(["one"], **SMALL.get(kind, {}))
    other.warm_start((t, {"one": x["cpu"]}) for t, x in server(100))
    record = {key: value for key, value in json.loads(learnt[kind]).items() if key != "checksum"}
    record["fitted"] = other.to_dict()["fitted"]
    with pytest.raises(StateError, match="numbers"):
        kind.from_dict(seal(record))


def test_quiet_weeks_raise_few_scores() -> None:
    """Over two weeks of nothing unusual, scores of 3 stay about as rare as they say."""
    detector = CompositeDetector(METRICS)
    detector.warm_start(server(2016))
    scores = [detector.update(t, x).score for t, x in server(2016, seed=4, start=START + 2016 * STEP)]

    assert sum(score > 3.0 for score in scores) <= 8
    assert float(np.median(scores)) < 0.5


@every
def test_it_is_not_ready_on_the_first_day(kind: type[WindowDetector]) -> None:
    """The first day is all new: verdicts may be scored, and are not ready."""
    detector = made(kind)
    ready = [detector.update(t, x).ready for t, x in server(2 * 288)]

    assert not any(ready[:288])
    assert all(ready[400:])


@every
def test_a_window_of_an_hour_is_fitted_to_an_hour(kind: type[WindowDetector]) -> None:
    """With five-minute samples and a window of an hour, a model is fitted to the twelve samples there are."""
    detector = made(kind, window=3600.0, least=8, refit_every=3600.0)
    detector.warm_start(server(200))

    assert detector.fitted is not None
    assert 8 <= detector.fitted.rows <= 12
    assert detector.score(START + 200 * STEP, ordinary()).ready
