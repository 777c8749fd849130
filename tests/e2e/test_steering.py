"""Queries over waiting mail, what is done to what they select, suspensions, top and explain."""
import json, os, pty, re, select, signal, time

import pytest

import dns
from relevo import BINARY, PATIENCE, free_port, wait_for

BUSY = '450 4.2.0 busy'
ID = r'[0-9A-Z]{7}-[0-9A-Z]+-[0-9A-Z]+'


class Site:
    """
    A relay with mail for a.example and b.example (one provider) and c.example by MX, for d.example by the route
    `next` and for s.example by `spare`; everybody defers while .busy.
    """

    def __init__(self, make_relay, make_sink, more=''):
        self.busy = True
        self.names = dns.Scripted()
        for name in ('a.example', 'b.example', 'c.example'):
            self.names.on(name, records=[('A', bytes([127, 0, 77, 9]))])
        self.mx = make_sink(self.script, host='127.0.77.9')
        self.next = make_sink(self.script)
        self.spare = make_sink(self.script)
        self.more = more
        self.relay = make_relay(self.text(), start=False)
        self.relay.start()

    def text(self):
        return '''resolver %s {
	dnssec off
	timeout 3s
}
queue {
	retry 1h
}
provider bigmail {
	domain a.example b.example
}
route mx {
	port %d
}
route next {
	host 127.0.0.1:%d
}
route spare {
	host 127.0.0.1:%d
}
accept from local sender news.example to domain d.example via next {
	tag news
}
accept from local to domain d.example via next
accept from local to domain s.example via spare
accept from local to any via mx
%s''' % (self.names.address, self.mx.port, self.next.port, self.spare.port, self.more)

    def script(self, stage, argument, session):
        return BUSY if self.busy and stage == 'rcpt' else None

    def send(self, *to, sender='ann@shop.example', size=10):
        c = self.relay.client()
        c.hello()
        code, text = c.mail(b'Subject: x\r\n\r\n' + b'y' * 70 * (size // 70) + b'\r\n', sender=sender, to=to)
        c.close()
        assert code == 250, text
        return re.search(ID, text).group(0)

    def queue(self, *words, **kw):
        return self.relay.command('queue', *words, **kw)

    def ids(self, *words):
        return {r['id'] for r in json.loads(self.queue('list', *words, '--json').stdout)}

    def settle(self, n):
        """Until n recipients were tried and deferred."""
        wait_for(lambda: len([r for r in self.relay.events('deferred')]) >= n)

    def got(self):
        return sorted(r[r.index('<') + 1:r.index('>')] for s in (self.mx, self.next, self.spare) for m in s.messages
                      for r in m.rcpt if 'shop.example' not in r)


@pytest.fixture
def site(make_relay, make_sink):
    made = []

    def make(**kw):
        made.append(Site(make_relay, make_sink, **kw))
        return made[-1]
    yield make
    for s in made:
        s.names.kill()


@pytest.fixture
def filled(site):
    """A site with five messages, and their ids by name."""
    s = site()
    s.id = {
        'a': s.send('u@a.example'),
        'ab': s.send('u@a.example', 'v@b.example'),
        'c': s.send('u@c.example', sender=''),
        'd': s.send('u@d.example', sender='list@news.example', size=20000),
        'cd': s.send('u@c.example', 'u@d.example'),
    }
    s.settle(7)
    return s


def test_list_by_query(filled):
    cases = [
        ('', 'a ab c d cd'), ('all', 'a ab c d cd'),
        ('sender <>', 'c'), ('sender ANN@shop.example', 'a ab cd'), ('sender news.example,<>', 'c d'),
        ('not sender .example', 'c'),
        ('recipient v@b.example', 'ab'), ('recipient u@*', 'a ab c d cd'), ('domain b.example', 'ab'),
        ('domain .example', 'a ab c d cd'), ('domain .b.example', ''),
        ('destination next', 'd cd'), ('destination c.example', 'c cd'), ('destination d.example', ''),
        ('provider bigmail', 'a ab'), ('provider <>', 'c d cd'), ('not provider bigmail', 'c d cd'),
        ('route mx', 'a ab c cd'), ('route next', 'd cd'),
        ('age under 1h', 'a ab c d cd'), ('age >1h', ''), ('size >10K', 'd'), ('size <10K sender <>', 'c'),
        ('tag news', 'd'), ('tag <>', 'a ab c cd'),
        ('status deferred', 'a ab c d cd'), ('status new', ''), ('status waiting', 'a ab c d cd'),
        ('status ready', ''), ('status held', ''), ('status in-flight', ''), ('not status in-flight', 'a ab c d cd'),
        ('status suspended,limited,resting', ''),
        ('domain c.example not recipient u@c.example', ''),
    ]
    for words, expected in cases:
        assert filled.ids(*words.split()) == {filled.id[k] for k in expected.split()}, words
    assert filled.ids('id', filled.id['a']) == {filled.id['a']}
    assert filled.ids(filled.id['a'], filled.id['c'], 'sender', '<>') == {filled.id['c']}


def test_wrong_queries(filled):
    for words, said in (('sendr x', 'did you mean "sender"'), ('all sender x', 'stands alone'), ('status redy', 'ready'),
                        ('age 2h', "'>2h'"), ('sender', 'value is missing')):
        r = filled.queue('list', *words.split(), check=False)
        assert r.returncode == 2 and said in r.stderr and not r.stdout, (words, r.stderr)
    for verb in ('delete', 'hold', 'release', 'retry', 'bounce', 'show'):
        r = filled.queue(verb, check=False)
        assert r.returncode == 2 and 'all' in r.stderr, verb
    for words in ('reroute all', 'reroute all via', 'count by nothing', 'list --dry-run', 'count by sender by tag'):
        assert filled.queue(*words.split(), check=False).returncode == 2, words
    r = filled.queue('reroute', 'all', 'via', 'nowhere', check=False)
    assert r.returncode == 1 and 'nowhere' in r.stderr
    assert filled.ids() == set(filled.id.values())
    assert filled.queue('delete', 'sender', 'nobody@x').stdout == '0 messages.\n'


def test_count(filled):
    assert filled.queue('count').stdout == '5 messages, 7 recipients waiting.\n'

    def count(*words):
        return {r[words[-1]]: (r['messages'], r['recipients'])
                for r in json.loads(filled.queue('count', *words, '--json').stdout)}
    assert count('by', 'destination') == {'a.example': (2, 2), 'b.example': (1, 1), 'c.example': (2, 2), 'next': (2, 2)}
    assert count('by', 'domain')['d.example'] == (2, 2)
    assert count('by', 'provider') == {'bigmail': (2, 3), '<>': (3, 4)}
    assert count('by', 'route') == {'mx': (4, 5), 'next': (2, 2)}
    assert count('by', 'tag') == {'news': (1, 1), '<>': (4, 6)}
    assert count('sender', '<>', 'by', 'sender') == {'<>': (1, 1)}
    status = count('by', 'status')
    assert status['deferred'] == status['waiting'] == status['queued'] == (5, 7) and 'held' not in status
    rows = filled.queue('count', 'by', 'provider', 'route', 'mx').stdout.splitlines()
    assert rows[1].split() == ['2', '3', 'bigmail'] and rows[2].split() == ['2', '2', '<>']


ACTS = [('retry',), ('hold',), ('release',), ('delete',), ('bounce', 'a text'), ('reroute', 'via', 'spare')]


def test_dry_run_does_nothing(filled):
    before = len(filled.relay.text())
    for act in ACTS:
        words = [act[0], 'domain', 'b.example,c.example', *act[1:], '--dry-run']
        text = filled.queue(*words).stdout
        assert set(re.findall(ID, text)) == {filled.id[k] for k in ('ab', 'c', 'cd')}, text
        assert 'nothing was done' in text
        of_recipients = act[0] in ('delete', 'bounce', 'reroute')
        assert ('u@a.example' in text) != of_recipients, text
        rows = json.loads(filled.queue(*words, '--json').stdout)
        assert [r['would'] for r in rows] == [act[0]] * 3
        wanted = 1 if of_recipients else 2
        assert {r['id']: len(r['recipients']) for r in rows}[filled.id['ab']] == wanted
    assert filled.ids() == set(filled.id.values())
    assert filled.ids('status', 'held') == set() and filled.ids('route', 'spare') == set()
    for event in ('held', 'deleted', 'bounced', 'returned', 'rerouted'):
        assert not filled.relay.events(event)
    assert len(filled.relay.text()) == before


def test_hold_and_release(filled):
    text = filled.queue('hold', 'provider', 'bigmail').stdout
    assert 'with all its 2 recipients' in text and '2 messages with 3 recipients held.' in text
    assert filled.ids('status', 'held') == {filled.id['a'], filled.id['ab']}
    filled.relay.stop()
    filled.relay.start()
    assert filled.ids('status', 'held') == {filled.id['a'], filled.id['ab']}
    filled.busy = False
    filled.queue('retry', 'all')
    wait_for(lambda: filled.got() == ['u@c.example', 'u@c.example', 'u@d.example', 'u@d.example'])
    filled.queue('release', 'status', 'held', 'recipient', 'v@b.example')
    filled.queue('retry', 'not', 'status', 'held')
    wait_for(lambda: len(filled.got()) == 6)
    assert filled.ids() == {filled.id['a']}


def test_delete_only_what_fits(filled):
    text = filled.queue('delete', 'domain', 'b.example,d.example').stdout
    assert '3 messages with 3 recipients deleted.' in text
    assert len(filled.relay.wait_event('deleted', 3)) == 3
    assert filled.ids() == {filled.id[k] for k in ('a', 'ab', 'c', 'cd')}
    rows = json.loads(filled.queue('show', filled.id['ab'], '--json').stdout)
    assert [(r['address'], r['state']) for r in rows[0]['recipients']] == [('u@a.example', 'queued'), ('v@b.example', 'deleted')]
    assert rows[0]['recipients'][0]['job'] == 'waiting', 'what did not fit is back where it was'
    filled.relay.stop()
    filled.relay.start()
    assert filled.ids() == {filled.id[k] for k in ('a', 'ab', 'c', 'cd')}
    filled.busy = False
    filled.queue('retry', 'all')
    wait_for(lambda: filled.got() == ['u@a.example', 'u@a.example', 'u@c.example', 'u@c.example'])


def test_bounce(filled):
    # The notice for ann@shop.example must have somewhere to go.
    filled.names.on('shop.example', records=[('A', bytes([127, 0, 77, 9]))])
    filled.busy = False
    text = filled.queue('bounce', 'domain', 'b.example,c.example', 'sorry, not today').stdout
    assert '3 messages with 3 recipients returned.' in text
    assert sorted(e['to'] for e in filled.relay.wait_event('returned', 3)) == ['u@c.example', 'u@c.example', 'v@b.example']

    def notices():
        return [m for m in filled.mx.messages if 'MAIL FROM:<>' in m.mail]
    wait_for(lambda: len(notices()) == 2)      # none for the null sender
    time.sleep(0.3)
    assert len(notices()) == 2
    assert all(b'sorry, not today' in m.content and b'Action: failed' in m.content for m in notices())
    assert filled.ids() == {filled.id[k] for k in ('a', 'ab', 'd', 'cd')}


def test_reroute(filled):
    text = filled.queue('reroute', 'domain', 'c.example', 'via', 'spare').stdout
    assert '2 messages with 2 recipients rerouted.' in text
    assert len(filled.relay.wait_event('rerouted', 2)) == 2
    # They are tried at once by the other route, which defers them, too.
    filled.settle(9)
    assert filled.ids('route', 'spare') == filled.ids('destination', 'spare') == {filled.id['c'], filled.id['cd']}
    filled.relay.kill()
    filled.relay.start()
    assert filled.ids('route', 'spare') == {filled.id['c'], filled.id['cd']}
    filled.busy = False
    filled.queue('retry', 'all')
    wait_for(lambda: len(filled.got()) == 7)
    assert sorted(m.rcpt[0] for m in filled.spare.messages) == ['RCPT TO:<u@c.example>'] * 2
    wait_for(lambda: filled.ids() == set())


def test_in_flight(site):
    """What is being delivered is found, and left alone."""
    s = site()
    s.mx.script = lambda stage, *a: ('SLEEP', 3 * PATIENCE) if stage == 'rcpt' else None
    flying = s.send('u@c.example')
    resting = s.send('u@d.example')
    s.settle(1)
    assert s.ids('status', 'in-flight') == {flying} and s.ids('not', 'status', 'in-flight') == {resting}
    text = s.queue('delete', 'status', 'in-flight').stdout
    assert 'being delivered right now' in text
    assert s.queue('count', 'status', 'in-flight').stdout.startswith('1 message,')
    wait_for(lambda: s.got() == ['u@c.example'])


def test_suspend_and_resume(site):
    """Whatever is suspended, what waits and what comes stays, over a restart; resumed, it flows."""
    s = site()
    cases = [('destination', 'c.example', 'u@c.example'), ('destination', 'next', 'u@d.example'),
             ('provider', 'bigmail', 'u@a.example'), ('route', 'spare', 'u@s.example')]
    first = {name: s.send(to) for _, name, to in cases}
    s.settle(4)
    for kind, name, _ in cases:
        assert name in s.relay.command('suspend', kind, name, 'for the test').stdout
        assert 'already' in s.relay.command('suspend', kind, name).stdout
    s.busy = False
    s.queue('retry', 'all')
    later = {name: s.send(to) for _, name, to in cases}
    s.send('w@c.example')
    time.sleep(1)
    assert s.got() == []
    s.relay.stop()
    s.relay.start()
    s.queue('retry', 'all')
    time.sleep(1)
    assert s.got() == []
    rows = json.loads(s.relay.command('suspend', '--json').stdout)
    assert [(r['suspended'], r['name'], r['why']) for r in rows] == [(k, n, 'for the test') for k, n, _ in cases]
    status = s.queue('status').stdout
    assert all(re.search(r'suspended: %s %s for .*for the test' % (k, n), status) for k, n, _ in cases)
    assert len(s.ids('status', 'suspended')) == 9
    assert 'until it is resumed' in s.queue('show', first['next']).stdout
    for kind, name, to in cases:
        s.relay.command('resume', kind, name)
        wait_for(lambda: s.got().count(to) == 2)
        r = s.relay.command('resume', kind, name, check=False)
        assert r.returncode == 1 and 'not suspended' in r.stderr
    wait_for(lambda: s.ids() == set())
    assert first.keys() == later.keys() and 'Nothing is suspended' in s.relay.command('suspend').stdout
    assert len(s.relay.events('suspended')) == len(s.relay.events('resumed')) == 4


def test_suspend_source(site):
    s = site(more='source here address 127.0.0.1\nroute sourced {\n\thost 127.0.0.1:%d\n\tsource here\n}\n' % free_port())
    r = s.relay.command('suspend', 'source', 'hre', check=False)
    assert r.returncode == 1 and 'did you mean' in r.stderr and 'here' in r.stderr
    assert 'suspended' in s.relay.command('suspend', 'source', 'here').stdout


def test_suspend_unknown(site):
    s = site()
    for kind, name, near in (('provider', 'bigmial', 'bigmail'), ('route', 'nxt', 'next')):
        r = s.relay.command('suspend', kind, name, check=False)
        assert r.returncode == 1 and near in r.stderr and '--force' in r.stderr
        s.relay.command('suspend', '--force', kind, name)
    s.relay.command('suspend', 'destination', 'may.come.example')
    for words in (('domain', 'x'), ('route',), ('route', 'a', 'b', 'c')):
        assert s.relay.command('suspend', *words, check=False).returncode == 2
    assert len(json.loads(s.relay.command('suspend', '--json').stdout)) == 3


def test_top(filled):
    text = filled.relay.command('top', '--once').stdout
    assert text.startswith('5 messages') and 'delivered' in text
    assert all(name in text for name in ('a.example', 'bigmail', 'next', '450 4.2.0 busy')), text
    rows = json.loads(filled.relay.command('top', '--json', '-n', '2', '--sort', 'name').stdout)
    assert rows[0]['messages'] == 5 and rows[0]['destinations'] == 4
    assert [r['destination'] for r in rows[1:]] == ['a.example', 'b.example']
    assert filled.relay.command('top', '--sort', 'colour', check=False).returncode == 2


def test_top_on_a_terminal(filled):
    """It draws again and again, shows nothing raw, and q leaves the terminal as it was."""
    child, fd = pty.fork()
    if not child:
        os.execv(BINARY, [BINARY, 'top', '-c', filled.relay.conf, '--interval', '1'])
    seen, end = b'', time.monotonic() + 15 * PATIENCE
    try:
        while seen.count(b'\x1b[2J') < 3 and time.monotonic() < end:
            if select.select([fd], [], [], 1)[0]:
                seen += os.read(fd, 65536)
        os.write(fd, b'q')
        _, status = os.waitpid(child, 0)
        child = 0
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(fd)
    assert os.waitstatus_to_exitcode(status) == 0
    assert seen.count(b'\x1b[2J') >= 3 and b'a.example' in seen
    assert max(len(line) for line in seen.replace(b'\x1b[H\x1b[2J', b'').split(b'\r\n')) <= 80


def test_nothing_raw(site):
    """What a peer says cannot act on the operator's terminal (D8)."""
    s = site()
    s.next.script = lambda stage, *a: b'450 4.2.0 \x1b[2J\xc2\x9b31m\r\n' if stage == 'rcpt' else None
    s.send('u@d.example')
    s.settle(1)
    for words in (('queue', 'list'), ('queue', 'show', 'all'), ('queue', 'status'), ('top', '--once'),
                  ('explain', '--destination', 'next'), ('queue', 'list', '--json'), ('top', '--json')):
        text = s.relay.command(*words).stdout
        assert '450 4.2.0' in text or words[1] == 'status', words
        assert not re.search('[\x00-\x08\x0b-\x1f\x7f-\x9f]', text), words


def test_explain_destination(filled):
    text = filled.relay.command('explain', '--destination', 'a.example').stdout
    assert '2 messages with 2 recipients waiting' in text and 'bigmail' in text and '127.0.77.9' in text, text
    assert '450 4.2.0 busy' in text and ', TLS as offered' in text
    assert 'TLS as offered' in filled.relay.command('explain', '--destination', 'next').stdout
    rows = json.loads(filled.relay.command('explain', '--destination', 'next', '--json').stdout)
    assert rows[0]['destination'] == 'next' and rows[0]['waiting'] == 2 and rows[0]['ways'][0]['gates']
    filled.relay.command('suspend', 'destination', 'next', 'a reason')
    assert 'a reason' in filled.relay.command('explain', '--destination', 'next').stdout
    idle = filled.relay.command('explain', '--destination', 'spare').stdout
    assert 'no mail waits' in idle and 'route spare' in idle
    assert ', TLS as offered' in idle and 'TLS if it is offered' in idle
    filled.relay.stop()
    text = filled.relay.command('explain', '--destination', 'b.example').stdout
    assert 'no relay runs' in text and 'provider bigmail' in text and 'route mx' in text


def test_explain_limits(site):
    s = site(more='limit 1/h messages to domain c.example\n')
    s.busy = False
    s.send('u@c.example')
    wait_for(lambda: s.got() == ['u@c.example'])
    waiting = s.send('u@c.example')
    wait_for(lambda: s.ids('status', 'limited') == {waiting})
    text = s.relay.command('explain', '--destination', 'c.example').stdout
    assert re.search(r'(?m)^  \* .*1/h messages', text), text
    assert 'limited' in s.relay.command('top', '--once').stdout
    assert '1/h' in s.queue('show', waiting).stdout
    s.relay.stop()
    assert 'limit 1/h messages to domain c.example' in s.relay.command('explain', '--destination', 'c.example').stdout


def test_explain_mail(site):
    s = site(more='')
    text = s.relay.command('explain', '--client', '127.0.0.1', '--from', 'x@news.example', '--to', 'u@d.example').stdout
    assert 'tagged news' in text and 'given up after' in text
    text = s.relay.command('explain', '--client', '127.0.0.1', '--from', 'x@y.example', '--to', 'u@c.example').stdout
    assert 'mail exchangers' in text and 'tagged' not in text


def test_many_ids_in_one_command(site):
    """More ids than one request holds."""
    s = site()
    ids = [s.send('u%d@d.example' % i) for i in range(210)]
    wait_for(lambda: len(s.ids()) == 210)
    s.queue('hold', *ids)
    assert s.ids('status', 'held') == set(ids)
    s.queue('delete', 'sender', 'ann@shop.example')
    assert s.ids() == set()
