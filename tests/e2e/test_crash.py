"""kill -9 and power cuts, a few of them; `make crash` does many. See tests/crash."""
import os, random, sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'crash'))
import balance, disks, kill9, powercut


def run(make):
    try:
        trial = make()
    except disks.NotHere as e:
        pytest.skip(str(e))
    try:
        return trial.run()
    finally:
        trial.close()


def test_kill_nine_twenty_times():
    seed = random.randrange(1 << 30)
    r = run(lambda: kill9.Kill9(20, seed))
    assert not kill9.faults(r), (seed, {k: v if k != 'lost' else v[:5] for k, v in r.items()})


def test_kill_nine_would_see_a_loss():
    assert run(lambda: kill9.Kill9(4, 1, sabotage=True))['lost']


def test_power_cuts():
    seed = random.randrange(1 << 30)
    r = run(lambda: powercut.PowerCut(4, seed))
    assert not powercut.faults(r), (seed, {k: v if k != 'lost' else v[:5] for k, v in r.items()})


def test_power_cuts_would_see_a_loss():
    assert run(lambda: powercut.PowerCut(1, 1, nosync=True))['lost']


def write(path, *lines):
    path.write_text(''.join(line + '\n' for line in lines))
    return [str(path)]


@pytest.mark.parametrize('sunk, lost, different, again', [
    (('r-1 - a,b 10 00000001',), 0, 0, 0),
    (('r-1 - a 10 00000001', 'r-1 - b 10 00000001'), 0, 0, 0),
    (('r-1 - a 10 00000001',), 1, 0, 0),
    ((), 2, 0, 0),
    (('r-1 - a,b 10 00000002',), 0, 1, 0),
    (('r-1 - a,b 9 00000001',), 0, 1, 0),
    (('r-1 - a,b 10 00000001', 'r-1 - b 10 00000001'), 0, 0, 1),
    (('r-2 - a,b 10 00000001',), 2, 0, 0),
])
def test_the_balance_itself(tmp_path, sunk, lost, different, again):
    b = balance.Balance()
    b.promise(write(tmp_path / 'load', 'r-1 - a,b 10 00000001'))
    b.arrive(write(tmp_path / 'sink', *sunk))
    assert (len(b.lost()), b.different, b.again) == (lost, different, again)
