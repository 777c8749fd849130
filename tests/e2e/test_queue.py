"""relevo queue: what the administrator sees and does."""
import json, re, time

from relevo import ROUTE, Sink, free_port, wait_for


def waiting(make_relay, n=3):
    """A relay with n messages for a hop that is down; (relay, port of the hop, ids)."""
    port = free_port()
    relay = make_relay('queue {\n\tretry 1h\n}\n' + ROUTE % port)
    c = relay.client()
    c.hello()
    ids = []
    for i in range(n):
        code, text = c.mail(b'Subject: n%d\r\nX-Mark: here\r\n\r\nbody\r\n' % i, to=('b%d@dest.example' % i,))
        assert code == 250
        ids.append(re.search(r'([0-9A-Z]{7}-[0-9A-Z]+-[0-9A-Z]+)', text).group(1))
    c.close()
    relay.wait_event('destination-rests')
    return relay, port, ids


def test_list_and_show(make_relay):
    relay, port, ids = waiting(make_relay)
    text = relay.command('queue', 'list').stdout
    for i, id in enumerate(ids):
        assert id in text and 'b%d@dest.example' % i in text
    rows = json.loads(relay.command('queue', 'list', '--json').stdout)
    assert sorted(r['id'] for r in rows) == sorted(ids)
    assert all(r['sender'] == 'a@client.example' for r in rows)
    show = relay.command('queue', 'show', ids[0]).stdout
    assert 'b0@dest.example' in show and 'Subject: n0' in show and 'X-Mark: here' in show
    one = json.loads(relay.command('queue', 'show', ids[0], '--json').stdout)
    one = one[0] if isinstance(one, list) else one
    assert one['id'] == ids[0] and one['recipients'][0]['address'] == 'b0@dest.example'


def test_retry_sends_at_once(make_relay):
    relay, port, ids = waiting(make_relay)
    sink = Sink(port=port)
    try:
        relay.command('queue', 'retry', 'all')
        wait_for(lambda: len(sink.messages) == 3)
    finally:
        sink.close()


def test_hold_release_delete(make_relay):
    relay, port, ids = waiting(make_relay)
    relay.command('queue', 'hold', ids[0])
    assert 'held' in relay.command('queue', 'show', ids[0]).stdout
    sink = Sink(port=port)
    try:
        relay.command('queue', 'retry', 'all')
        wait_for(lambda: len(sink.messages) == 2)
        # A hold survives a restart.
        relay.stop()
        relay.start()
        time.sleep(1)
        assert len(sink.messages) == 2
        assert 'held' in relay.command('queue', 'list').stdout
        relay.command('queue', 'release', ids[0])
        wait_for(lambda: len(sink.messages) == 3)
    finally:
        sink.close()


def test_delete(make_relay):
    relay, port, ids = waiting(make_relay)
    relay.command('queue', 'delete', ids[1])
    assert ids[1] not in relay.command('queue', 'list').stdout
    r = relay.command('queue', 'delete', ids[1], 'nonsense', check=False)
    assert r.returncode == 2 and 'nonsense' in r.stderr
    r = relay.command('queue', 'delete', ids[1], '0000001-1-1', check=False)
    assert r.returncode == 1 and '0000001-1-1' in r.stderr
    relay.stop()
    relay.start()
    assert ids[1] not in relay.command('queue', 'list').stdout
    relay.command('queue', 'delete', 'all')
    assert json.loads(relay.command('queue', 'list', '--json').stdout) == []
    assert len(relay.wait_event('deleted', 3)) == 3


def test_no_relay(make_relay):
    relay, port, ids = waiting(make_relay, 1)
    relay.stop()
    r = relay.command('queue', 'list', check=False)
    assert r.returncode == 1 and 'no relay' in (r.stdout + r.stderr).lower()
