"""When a loop stops, and what it says."""

import pytest

from codebooks.models.convergence import Plateau, Reporter


@pytest.mark.parametrize(
    ("scores", "stops_at"),
    [
        ([1.0, 1.0, 1.0, 1.0], 3),
        ([1.0, 1.2, 1.2, 1.2, 1.2], 4),
        ([1.0, 0.9, 1.5, 0.9, 0.9, 0.9], 5),  # a late rise starts the waiting anew
        ([0.0, 0.0, 0.0, 0.0], 3),
        ([-2.0, -1.5, -1.0, -0.7], None),
        ([1.0, 1.05, 1.1, 1.15], None),  # slow, but every second step passes the last mark by a tenth
    ],
)
def test_plateau(scores, stops_at):
    plateau = Plateau(tol=0.09, patience=3)
    stopped = [plateau(score) for score in scores]
    assert stopped == [place == stops_at for place in range(len(scores))]


def test_plateau_of_a_slowly_rising_score():
    plateau = Plateau(tol=0.1, patience=3)
    assert [plateau(1 + 0.01 * step) for step in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_reporter_counts_the_epochs(verbose, capsys):
    reporter = Reporter("Learner", 3, verbose)
    for epoch in reporter.epochs():
        reporter.report(epoch, 0.25, n_idle=2 * epoch)
    out = capsys.readouterr().out
    lines = out.splitlines()
    if verbose == 0:
        assert out == ""
    elif verbose == 1:
        assert lines[0] == "[Learner] epoch 1/3: explained energy 0.2500"
        assert lines[2] == "[Learner] epoch 3/3: explained energy 0.2500, 4 idle components"
    else:
        assert "Learner" in out
        assert "100%" in out


@pytest.mark.parametrize("is_reported", [True, False])
def test_progress_bar_is_complete_if_the_loop_ends_after_a_reported_epoch(is_reported, capsys):
    reporter = Reporter("Learner", 100, verbose=2)
    for epoch in reporter.epochs():
        if epoch < 2 or is_reported:
            reporter.report(epoch, 0.25, n_idle=0)
        if epoch == 2:
            break
    assert ("100%" in capsys.readouterr().out) == is_reported
