"""The state machine of a circuit, by its own clock: no event loop in here."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liter._circuit import Admission, Circuit, CircuitPolicy
from liter._errors import RateLimitedError, ServerError, ServiceUnavailableError

FAILURE = ServerError("no")


def admitted(circuit: Circuit, now: float) -> Admission:
    """Leave that has to be given."""
    admission = circuit.admit(now)
    assert admission is not None
    return admission


def tripped(policy: CircuitPolicy, now: float = 0.0) -> Circuit:
    """A circuit that has just opened, by as few failures as it takes."""
    circuit = Circuit(policy)
    for _ in range(policy.min_calls):
        admitted(circuit, now).failed(now, FAILURE)
    assert circuit.state == "open"
    return circuit


def test_it_takes_a_minimum_of_calls() -> None:
    """Failures alone do not open it before min_calls results are in."""
    circuit = Circuit(CircuitPolicy(min_calls=5))
    changes = [admitted(circuit, 0.0).failed(0.0, FAILURE) for _ in range(5)]
    assert changes == [None, None, None, None, "opened"]
    assert circuit.admit(0.0) is None


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 1.0])
def test_it_opens_at_the_error_rate(rate: float) -> None:
    """It opens by the failure with which the share of failures reaches error_rate, and not before."""
    circuit = Circuit(CircuitPolicy(min_calls=30, error_rate=rate))
    failures = round(30 * rate)
    for _ in range(30 - failures):
        assert admitted(circuit, 0.0).succeeded(0.0) is None
    changes = [admitted(circuit, 0.0).failed(0.0, FAILURE) for _ in range(failures)]
    assert changes == [None] * (failures - 1) + ["opened"]


def test_a_success_never_opens_it() -> None:
    """Though it may be the result that makes up the minimum: the next failure opens it."""
    circuit = Circuit(CircuitPolicy(min_calls=4))
    for _ in range(3):
        admitted(circuit, 0.0).failed(0.0, FAILURE)
    assert admitted(circuit, 0.0).succeeded(0.0) is None
    assert circuit.state == "closed"
    assert admitted(circuit, 0.0).failed(0.0, FAILURE) == "opened"


def test_the_window_rolls() -> None:
    """Failures that are older than the window are forgotten; younger ones are not."""
    policy = CircuitPolicy(min_calls=4, window=10.0)
    for pause, change in ((10.0, None), (9.9, "opened")):
        circuit = Circuit(policy)
        for _ in range(3):
            admitted(circuit, 0.0).failed(0.0, FAILURE)
        assert admitted(circuit, pause).failed(pause, FAILURE) == change


def test_open_time_doubles_and_starts_over() -> None:
    """Each trip without a recovery between doubles the open time up to its cap; a recovery starts it over."""
    policy = CircuitPolicy(min_calls=1, open_seconds=1.0, max_open_seconds=5.0, probes=1)
    circuit, now, lengths = tripped(policy), 0.0, list[float]()
    for _ in range(5):
        lengths.append(circuit.ready_at(now) - now)
        assert circuit.admit(circuit.ready_at(now) - 0.001) is None
        now = circuit.ready_at(now)
        assert admitted(circuit, now).failed(now, FAILURE) == "opened"
    assert lengths == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert circuit.trips == 6
    now = circuit.ready_at(now)
    assert admitted(circuit, now).succeeded(now) == "closed"
    assert admitted(circuit, now).failed(now, FAILURE) == "opened"
    assert circuit.ready_at(now) - now == 1.0


def test_probes_are_bounded() -> None:
    """Half-open, it lets probes calls through; the others are told when the next ones are."""
    circuit = tripped(CircuitPolicy(min_calls=1, open_seconds=4.0, probes=2))
    assert [circuit.admit(4.0) is not None for _ in range(5)] == [True, True, False, False, False]
    assert circuit.state == "half-open"
    assert circuit.ready_at(5.0) == 8.0


def test_probes_that_hang_do_not_keep_it_shut() -> None:
    """After the open time once more there are new probes, and late results of the first ones still count."""
    circuit = tripped(CircuitPolicy(min_calls=1, open_seconds=4.0, probes=1))
    late = admitted(circuit, 4.0)
    assert circuit.admit(7.9) is None
    admitted(circuit, 8.0)
    assert circuit.admit(8.0) is None
    assert late.succeeded(9.0) == "closed"


def test_one_failed_probe_of_three_decides_nothing() -> None:
    """Probes are judged by the same error rate: two of three decide, either way."""
    policy = CircuitPolicy(min_calls=1, open_seconds=1.0, probes=3)
    for results, decision in (
        ((False, True, True), "closed"),
        ((True, True), "closed"),
        ((True, False, False), "opened"),
        ((False, False), "opened"),
    ):
        circuit = tripped(policy)
        probes = [admitted(circuit, 1.0) for _ in range(3)]
        changes = [
            probe.succeeded(1.0) if good else probe.failed(1.0, FAILURE)
            for probe, good in zip(probes, results, strict=False)
        ]
        assert changes == [None] * (len(results) - 1) + [decision]


@pytest.mark.parametrize("good", [True, False], ids=["success", "failure"])
def test_results_of_an_earlier_generation_are_ignored(good: bool) -> None:
    """What calls from before a trip report neither closes the circuit, nor trips it twice, nor counts after it."""
    policy = CircuitPolicy(min_calls=2, open_seconds=1.0, probes=1)
    circuit = Circuit(policy)
    stale = [admitted(circuit, 0.0) for _ in range(12)]

    def report(now: float) -> None:
        for admission in (stale.pop(), stale.pop()):
            assert (admission.succeeded(now) if good else admission.failed(now, FAILURE)) is None

    for admission in (stale.pop(), stale.pop()):
        admission.failed(0.0, FAILURE)
    report(0.0)
    assert (circuit.state, circuit.trips, circuit.ready_at(0.0)) == ("open", 1, 1.0)
    probe = admitted(circuit, 1.0)
    report(1.0)
    stale.pop().withdraw()
    assert circuit.state == "half-open"
    assert circuit.admit(1.0) is None
    assert probe.succeeded(1.0) == "closed"
    report(1.0)
    assert (circuit.state, circuit.trips) == ("closed", 1)


def test_a_failure_after_a_success_takes_its_place() -> None:
    """A stream that is entered and then breaks is one failure: not a success, too, nor two failures."""
    circuit = Circuit(CircuitPolicy(min_calls=3, error_rate=0.7))
    admission = admitted(circuit, 0.0)
    admission.succeeded(0.0)
    admission.failed(0.0, FAILURE)
    admission.failed(0.0, FAILURE)
    assert admitted(circuit, 0.0).failed(0.0, FAILURE) is None
    assert admitted(circuit, 0.0).failed(0.0, FAILURE) == "opened"


def test_a_stream_that_outlives_the_window_still_counts_when_it_breaks() -> None:
    """A failure is counted when it happens, though the success that it replaces is forgotten by then."""
    circuit = Circuit(CircuitPolicy(min_calls=1, window=10.0))
    admission = admitted(circuit, 0.0)
    admission.succeeded(0.0)
    assert admission.failed(1000.0, FAILURE) == "opened"


def test_a_probe_that_breaks_later_is_no_success() -> None:
    """Half-open, too, a failure after the success takes it back."""
    circuit = tripped(CircuitPolicy(min_calls=1, open_seconds=1.0, probes=3))
    probes = [admitted(circuit, 1.0) for _ in range(3)]
    assert probes[0].succeeded(1.0) is None
    assert probes[0].failed(1.0, FAILURE) is None
    assert probes[1].failed(1.0, FAILURE) == "opened"


def test_a_withdrawn_probe_gives_its_place_back_once() -> None:
    """Withdrawing makes room for one other probe, however often it is done."""
    circuit = tripped(CircuitPolicy(min_calls=1, open_seconds=1.0, probes=2))
    first, _ = admitted(circuit, 1.0), admitted(circuit, 1.0)
    first.withdraw()
    first.withdraw()
    admitted(circuit, 1.0)
    assert circuit.admit(1.0) is None


def test_a_rate_limit_with_a_time_is_no_failure() -> None:
    """It keeps calls away for exactly that long, and leaves the circuit closed."""
    circuit = Circuit(CircuitPolicy(min_calls=1))
    assert admitted(circuit, 0.0).failed(0.0, RateLimitedError("no", retry_after=600.0)) == "cooling"
    assert (circuit.state, circuit.trips) == ("closed", 0)
    assert circuit.admit(599.9) is None
    admitted(circuit, 600.0)


def test_a_rate_limit_without_a_time_is_a_failure() -> None:
    """Nobody says how long to stay away, so that it is found out by probes."""
    circuit = Circuit(CircuitPolicy(min_calls=2))
    changes = [admitted(circuit, 0.0).failed(0.0, RateLimitedError("no")) for _ in range(2)]
    assert changes == [None, "opened"]


def test_an_overload_with_a_time_is_both() -> None:
    """A failure with a Retry-After counts, and keeps calls away for that long."""
    circuit = Circuit(CircuitPolicy(min_calls=2, open_seconds=1.0))
    error = ServiceUnavailableError("no", retry_after=20.0)
    first, second = admitted(circuit, 0.0), admitted(circuit, 0.0)
    assert first.failed(0.0, error) == "cooling"
    assert second.failed(0.0, error) == "opened"
    assert circuit.ready_at(0.0) == 20.0


def test_the_longest_cool_down_holds() -> None:
    """A shorter wait that is told later does not end a longer one."""
    circuit = Circuit(CircuitPolicy())
    first, second = admitted(circuit, 0.0), admitted(circuit, 0.0)
    first.failed(0.0, RateLimitedError("no", retry_after=60.0))
    second.failed(1.0, RateLimitedError("no", retry_after=2.0))
    assert circuit.ready_at(1.0) == 60.0


def test_an_exhausted_quota_opens_at_once() -> None:
    """Without a time, by the circuit; with one, it cools down for that long."""
    circuit = Circuit(CircuitPolicy(open_seconds=5.0))
    admission = admitted(circuit, 0.0)
    assert admission.failed(0.0, RateLimitedError("no credit", quota_exhausted=True)) == "opened"
    assert circuit.ready_at(0.0) == 5.0
    circuit = Circuit(CircuitPolicy())
    error = RateLimitedError("no credit", quota_exhausted=True, retry_after=3600.0)
    assert admitted(circuit, 0.0).failed(0.0, error) == "cooling"
    assert (circuit.state, circuit.ready_at(0.0)) == ("closed", 3600.0)


def test_threads_share_the_probes() -> None:
    """Several threads that ask at once get no more probes between them than there are."""
    circuit = tripped(CircuitPolicy(min_calls=1, open_seconds=1.0, probes=500))
    together = Barrier(4)

    def ask(_: int) -> int:
        together.wait()
        return sum(circuit.admit(1.0) is not None for _ in range(400))

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(ask, range(4))) == 500


@given(
    policy=st.builds(
        CircuitPolicy,
        error_rate=st.sampled_from([0.1, 0.5, 1.0]),
        min_calls=st.integers(1, 4),
        window=st.sampled_from([1.0, 10.0]),
        open_seconds=st.just(2.0),
        max_open_seconds=st.sampled_from([2.0, 7.0]),
        probes=st.integers(1, 3),
    ),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["admit", "good", "bad", "withdraw"]), st.integers(0, 5), st.sampled_from([0.0, 0.3, 2.0])
        ),
        max_size=80,
    ),
)
def test_its_promises_hold_for_every_history(policy: CircuitPolicy, steps: list[tuple[str, int, float]]) -> None:
    """Whatever happens: it opens for no fewer than min_calls failures' share, probes are bounded, waits are exact."""
    circuit, now = Circuit(policy), 0.0
    under_way: list[Admission] = []
    openings = 0
    probes_since = list[float]()
    reports: dict[str, Callable[[Admission], object]] = {
        "good": lambda admission: admission.succeeded(now),
        "bad": lambda admission: admission.failed(now, FAILURE),
        "withdraw": lambda admission: admission.withdraw(),
    }
    withdrawn = 0
    for step, which, pause in steps:
        now += pause
        if step != "admit":
            if under_way:
                admission = under_way.pop(which % len(under_way))
                withdrawn += step == "withdraw"
                before = circuit.state
                change = reports[step](admission)
                openings += change == "opened"
                assert (change == "opened") == (before != "open" and circuit.state == "open")
                assert (change == "closed") == (before == "half-open" and circuit.state == "closed")
            continue
        ready = circuit.ready_at(now)
        admission = circuit.admit(now)
        assert (admission is not None) == (ready <= now)
        if admission is None:
            # As it is added up: the difference of two rounded times may be a digit more than what was added.
            assert ready <= now + policy.max_open_seconds
            assert circuit.state != "closed"
            continue
        under_way.append(admission)
        assert circuit.state != "open"
        if circuit.state == "half-open":
            probes_since.append(now)
            recent = [at for at in probes_since if at > now - policy.open_seconds]
            # A round's may come right before the next one's.
            assert len(recent) <= 2 * policy.probes + withdrawn
    assert circuit.trips == openings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"error_rate": 0.0}, "error_rate must be above 0"),
        ({"error_rate": 1.1}, "error_rate must be above 0 and at most 1"),
        ({"error_rate": float("nan")}, "error_rate must be"),
        ({"min_calls": 0}, "min_calls must be 1 or more"),
        ({"window": 0.0}, "window must be more than 0 seconds"),
        ({"open_seconds": 0.0}, "open_seconds must be more than 0 seconds"),
        ({"open_seconds": 10.0, "max_open_seconds": 5.0}, r"max_open_seconds must be open_seconds \(10.0\) or more"),
        ({"probes": 0}, "probes must be 1 or more"),
    ],
)
def test_bad_input(fields: dict[str, float], message: str) -> None:
    """A number out of range is refused when the policy is made, with its name and what would be right."""
    with pytest.raises(ValueError, match=message):
        CircuitPolicy(**fields)
