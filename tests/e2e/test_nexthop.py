"""The next hop misbehaves in every way: each recipient gets the right end, nothing is lost, nothing is stuck."""
import email, email.policy, re, socket, threading, time

import pytest

from relevo import ROUTE, Sink, free_port, wait_for

QUICK = '''queue {
	retry 1s
}
'''
SHORT = '''route next {
	host 127.0.0.1:%d
	timeout 2s
	connect_timeout 2s
}
accept from local to any via next
'''


def submit(relay, n=1, to=('b@dest.example',), params=''):
    c = relay.client()
    c.hello()
    for i in range(n):
        assert c.mail(b'Subject: t%d\r\n\r\nbody\r\n' % i, to=to, params=params)[0] == 250
    c.close()


def notices(sink):
    return [m for m in sink.messages if 'MAIL FROM:<>' in m.mail]


def ordinary(sink):
    return [m for m in sink.messages if 'MAIL FROM:<>' not in m.mail]


def once(stage, act):
    """A script that misbehaves at the first time only, and never for notices."""
    seen = []

    def script(at, argument, session):
        if at == stage and not seen:
            seen.append(at)
            return act
    return script


@pytest.mark.parametrize('stage', ['connect', 'ehlo', 'mail', 'rcpt', 'data', 'body', 'end'])
@pytest.mark.parametrize('act', ['CUT', '421 4.3.2 closing', '451 4.3.0 later', b'garbage without a code\r\n',
                                 '450-' + '4.2.0 long ' * 900, ('SLEEP', 4)], ids=['cut', '421', '451', 'garbage', 'huge', 'slow'])
def test_temporary(make_relay, make_sink, stage, act):
    """Whatever happens once, the message arrives in the end, and no bounce is made."""
    if isinstance(act, str) and act.startswith('450-'):
        act = (act + '\r\n450 4.2.0 end of a long reply\r\n').encode()
    if stage == 'body' and isinstance(act, bytes):
        act = act.decode().rstrip('\r\n')
    sink = make_sink(once(stage, act))
    relay = make_relay(QUICK + SHORT % sink.port)
    submit(relay)
    wait_for(lambda: ordinary(sink), 20)
    relay.wait_event('done')
    assert not notices(sink)
    assert b'Subject: t0' in ordinary(sink)[0].content


@pytest.mark.parametrize('stage', ['mail', 'rcpt', 'data', 'end'])
def test_permanent(make_relay, make_sink, stage):
    """A 5xx at any stage bounces at once, with the remote's words."""
    def script(at, argument, session):
        if at == 'mail':
            session['null'] = '<>' in argument
        if at == stage and not session.get('null'):
            return '550 5.1.1 never heard of them'
    sink = make_sink(script)
    relay = make_relay(QUICK + ROUTE % sink.port)
    submit(relay)
    wait_for(lambda: notices(sink))
    m = notices(sink)[0]
    assert re.search(r'<a@client\.example>', m.rcpt[0])
    parsed = email.message_from_bytes(m.content, policy=email.policy.default)
    assert parsed.get_content_type() == 'multipart/report'
    status = parsed.get_payload()[1].as_string()
    assert 'Action: failed' in status and 'Status: 5.1.1' in status and 'never heard of them' in status
    assert not ordinary(sink)
    relay.wait_event('bounced')


def test_partial(make_relay, make_sink):
    """Each recipient has its own end: one taken, one refused, one deferred and taken later."""
    seen = []

    def script(at, argument, session):
        if at == 'rcpt' and 'bad@' in argument:
            return '550 5.1.1 no such user'
        if at == 'rcpt' and 'busy@' in argument and not seen:
            seen.append(1)
            return '450 4.2.1 busy'
    sink = make_sink(script)
    relay = make_relay(QUICK + ROUTE % sink.port)
    submit(relay, to=('good@dest.example', 'bad@dest.example', 'busy@dest.example'))
    wait_for(lambda: len(ordinary(sink)) == 2 and notices(sink), 15)
    first, second = ordinary(sink)
    assert [r for r in first.rcpt] == ['RCPT TO:<good@dest.example>'] or 'good@' in first.rcpt[0]
    assert len(first.rcpt) == 1 and len(second.rcpt) == 1 and 'busy@' in second.rcpt[0]
    assert b'bad@dest.example' in notices(sink)[0].content


def test_down_then_up(make_relay):
    """Nothing listens: mail waits, the queue says why, and it goes when the hop comes up."""
    port = free_port()
    relay = make_relay(QUICK + ROUTE % port)
    submit(relay, n=5)
    relay.wait_event('destination-rests')
    listing = relay.command('queue', 'list').stdout
    assert listing.count('b@dest.example') == 5, listing
    assert 'refused' in relay.command('queue', 'list').stdout + relay.text()
    sink = Sink(port=port)
    try:
        wait_for(lambda: len(sink.messages) == 5, 20)
    finally:
        sink.close()


def test_backup_host(make_relay, make_sink):
    """The backup is used only while the first host is down."""
    port, backup = free_port(), make_sink()
    relay = make_relay(QUICK + '''route next {
	host 127.0.0.1:%d
	host 127.0.0.1:%d { backup }
}
accept from local to any via next
''' % (port, backup.port))
    submit(relay, n=3)
    wait_for(lambda: len(backup.messages) == 3)
    first = Sink(port=port)
    try:
        deadline = time.monotonic() + 40
        while not first.messages and time.monotonic() < deadline:
            submit(relay)
            time.sleep(1)
        assert first.messages
    finally:
        first.close()


def test_weights(make_relay, make_sink):
    """Shares follow the weights, roughly."""
    a, b = make_sink(), make_sink()
    relay = make_relay('''route next {
	host 127.0.0.1:%d { weight 3 }
	host 127.0.0.1:%d { weight 1 }
	messages 1
}
accept from local to any via next
''' % (a.port, b.port))
    submit(relay, n=200)
    wait_for(lambda: len(a.messages) + len(b.messages) == 200, 20)
    assert 110 <= len(a.messages) <= 190, (len(a.messages), len(b.messages))


def test_lmtp(make_relay, make_sink):
    """LMTP: one final reply per recipient."""
    def script(at, argument, session):
        if at == 'end' and 'full@' in argument:
            return '552 5.2.2 mailbox full'
    sink = make_sink(script, lmtp=True)
    bounces = make_sink()
    relay = make_relay('''route boxes {
	protocol lmtp
	host 127.0.0.1:%d
}
route next {
	host 127.0.0.1:%d
}
accept from local to domain dest.example via boxes
accept from local to any via next
''' % (sink.port, bounces.port))
    submit(relay, to=('ok@dest.example', 'full@dest.example'))
    relay.wait_event('delivered')
    wait_for(lambda: notices(bounces))
    assert b'5.2.2' in notices(bounces)[0].content and b'full@dest.example' in notices(bounces)[0].content
    assert [c for c in sink.commands if c.startswith('LHLO')]


def test_thousand_recipients(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    to = ['r%d@dest.example' % i for i in range(1000)]
    submit(relay, to=to)
    wait_for(lambda: sum(len(m.rcpt) for m in sink.messages) == 1000, 30)
    got = sorted(re.search('<(.*)>', r).group(1) for m in sink.messages for r in m.rcpt)
    assert got == sorted(to)
    c = relay.client()
    c.hello()
    c.cmd('MAIL FROM:<a@client.example>')
    for i in range(1000):
        assert c.cmd('RCPT TO:<r%d@dest.example>' % i)[0] == 250
    assert c.cmd('RCPT TO:<onemore@dest.example>')[0] == 452
    c.close()


def test_give_up(make_relay, make_sink):
    """What fails for too long bounces with 4.4.7's permanent form; a warning comes before, once."""
    def script(at, argument, session):
        if at == 'rcpt' and 'slow@' in argument:
            return '450 4.2.0 not now'
    sink = make_sink(script)
    relay = make_relay('queue {\n\tretry 1s\n\twarn_after 2s\n\tgive_up_after 6s\n}\n' + ROUTE % sink.port)
    submit(relay, to=('slow@dest.example',))
    wait_for(lambda: len(notices(sink)) == 2, 25)
    first, second = notices(sink)
    assert b'Action: delayed' in first.content and b'Action: failed' in second.content
    assert b'not now' in second.content
    relay.wait_event('done', 3)


def test_give_up_while_down(make_relay, make_sink):
    """The same when no attempt is possible: the destination rests, the message still expires."""
    sink, dead = make_sink(), free_port()
    relay = make_relay('queue {\n\tretry 30s\n\twarn_after 1s\n\tgive_up_after 4s\n}\n' + '''route dead {
	host 127.0.0.1:%d
}
route next {
	host 127.0.0.1:%d
}
accept from local to domain dead.example via dead
accept from local to any via next
''' % (dead, sink.port))
    submit(relay, to=('x@dead.example',))
    wait_for(lambda: len(notices(sink)) == 2, 20)
    assert b'Action: failed' in notices(sink)[1].content


def test_route_gives_up_later(make_relay, make_sink):
    """give_up_after of a route wins over the queue's."""
    def script(at, argument, session):
        if at == 'rcpt' and 'slow@' in argument:
            return '450 4.2.0 not now'
    sink = make_sink(script)
    relay = make_relay('queue {\n\tretry 1s\n\tgive_up_after 2s\n\twarn_after 1h\n}\n' + '''route next {
	host 127.0.0.1:%d
	give_up_after 1h
}
accept from local to any via next
''' % sink.port)
    submit(relay, to=('slow@dest.example',))
    time.sleep(5)
    assert not notices(sink)


def test_dsn_passed_on(make_relay, make_sink):
    """DSN parameters go to hops that offer DSN; to others a success notice says relayed."""
    knows, plain = make_sink(offers=('PIPELINING', '8BITMIME', 'DSN')), make_sink()
    relay = make_relay('''route knows {
	host 127.0.0.1:%d
}
route next {
	host 127.0.0.1:%d
}
accept from local to domain knows.example via knows
accept from local to any via next
''' % (knows.port, plain.port))
    c = relay.client()
    assert 'DSN' in c.hello()
    for to in ('b@knows.example', 'b@plain.example'):
        assert c.cmd('MAIL FROM:<a@client.example> RET=HDRS ENVID=QQ+2B314')[0] == 250
        assert c.cmd('RCPT TO:<%s> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@%s' % (to, to.split('@')[1]))[0] == 250
        assert c.data(b'Subject: dsn\r\n\r\nsecret body\r\n')[0] == 250
    c.close()
    wait_for(lambda: ordinary(knows) and notices(plain))
    m = ordinary(knows)[0]
    assert 'RET=HDRS' in m.mail and 'ENVID=QQ+2B314' in m.mail
    assert 'NOTIFY=SUCCESS,FAILURE' in m.rcpt[0] and 'ORCPT=rfc822;first@knows.example' in m.rcpt[0]
    n = notices(plain)[0].content
    assert b'Action: relayed' in n and b'Original-Envelope-Id: QQ+314' in n and b'rfc822;first@plain.example' in n.replace(b' ', b'')
    assert b'secret body' not in n and b'Subject: dsn' in n
    time.sleep(0.5)
    assert len(notices(plain)) == 1


def test_notify_never(make_relay, make_sink):
    def script(at, argument, session):
        if at == 'rcpt' and 'bad@' in argument:
            return '550 5.1.1 no'
    sink = make_sink(script)
    relay = make_relay(ROUTE % sink.port)
    c = relay.client()
    c.hello()
    c.cmd('MAIL FROM:<a@client.example>')
    assert c.cmd('RCPT TO:<bad@dest.example> NOTIFY=NEVER')[0] == 250
    c.data(b'Subject: x\r\n\r\n')
    c.close()
    relay.wait_event('done')
    time.sleep(0.5)
    assert not sink.messages


def test_no_bounce_to_a_bounce(make_relay, make_sink):
    sink = make_sink(lambda at, a, s: '550 5.1.1 no' if at == 'rcpt' else None)
    relay = make_relay(ROUTE % sink.port)
    submit(relay)
    relay.wait_event('done', 2)
    c = relay.client()
    c.hello()
    assert c.mail(b'Subject: x\r\n\r\n', sender='')[0] == 250
    relay.wait_event('done', 3)
    time.sleep(0.5)
    assert len(relay.events('done')) == 3 and not sink.messages


def test_postmaster(make_relay, make_sink):
    """What could not even be bounced becomes a notice to the postmaster; <postmaster> is accepted."""
    sink = make_sink(lambda at, a, s: '550 5.1.1 no' if at == 'rcpt' and 'post@' not in a else None)
    relay = make_relay('postmaster post@office.example via next\n' + ROUTE % sink.port)
    submit(relay)
    wait_for(lambda: any('post@office.example' in m.rcpt[0] for m in sink.messages))
    c = relay.client()
    c.hello()
    c.cmd('MAIL FROM:<a@client.example>')
    assert c.cmd('RCPT TO:<postmaster>')[0] == 250
    assert c.data(b'Subject: to you\r\n\r\n')[0] == 250
    wait_for(lambda: any(b'Subject: to you' in m.content for m in sink.messages))
    c.close()


def test_slow_site_does_not_hold_others(make_relay, make_sink):
    slow = make_sink(lambda at, a, s: ('SLEEP', 3) if at == 'mail' else None)
    fast = make_sink()
    relay = make_relay('''route slow {
	host 127.0.0.1:%d
}
route next {
	host 127.0.0.1:%d
}
accept from local to domain slow.example via slow
accept from local to any via next
''' % (slow.port, fast.port))
    submit(relay, n=100, to=('x@slow.example',))
    start = time.monotonic()
    submit(relay, n=100)
    wait_for(lambda: len(fast.messages) == 100, 5)
    assert time.monotonic() - start < 3


def test_connections_are_reused(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay('route next {\n\thost 127.0.0.1:%d\n\tconnections 2\n}\naccept from local to any via next\n' % sink.port)
    submit(relay, n=50)
    wait_for(lambda: len(sink.messages) == 50)
    assert sink.sessions <= 6, sink.sessions


def test_host_by_name(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay('route next {\n\thost localhost:%d\n}\naccept from local to any via next\n' % sink.port)
    submit(relay)
    wait_for(lambda: sink.messages)


def test_8bit_to_a_7bit_hop(make_relay, make_sink):
    """Declared 8BITMIME content to a hop that does not offer it: told to the sender (docs/design/delivery.md)."""
    sink = make_sink(offers=('PIPELINING',))
    relay = make_relay(ROUTE % sink.port)
    c = relay.client()
    c.hello()
    assert c.mail(b'Subject: x\r\n\r\n\xe4\r\n', params=' BODY=8BITMIME')[0] == 250
    c.close()
    wait_for(lambda: sink.messages)
    assert b'5.6.3' in notices(sink)[0].content


def test_smtputf8_to_a_hop_without(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    c = relay.client()
    c.hello()
    assert c.mail(b'Subject: x\r\n\r\nb\r\n', to=('j\u00fcrgen@dest.example',), params=' SMTPUTF8')[0] == 250
    c.close()
    wait_for(lambda: sink.messages)
    assert b'5.6.7' in notices(sink)[0].content


def read_slowly(listener, finished):
    """One session of a server that reads 64 KiB of content every 20 ms, which is some 3 MB a second, and never stops."""
    s, _ = listener.accept()
    with s:
        s.sendall(b'220 slow.example\r\n')
        try:
            for answer in (b'250 slow.example\r\n', b'250 2.1.0 yes\r\n', b'250 2.1.5 yes\r\n', b'354 go on\r\n'):
                s.recv(65536)
                s.sendall(answer)
            tail = b''
            while not tail.endswith(b'\r\n.\r\n'):
                time.sleep(0.02)
                octets = s.recv(65536)
                if not octets:
                    return
                tail = (tail + octets)[-5:]
            s.sendall(b'250 2.0.0 taken\r\n')
            finished.append(True)
            s.recv(65536)
        except OSError:
            pass


@pytest.mark.parametrize('rate, arrives', [('1G/s', False), ('100K/s', True)])
def test_a_host_that_reads_slowly(make_relay, rate, arrives):
    """Each write ends in time, so it is the average that counts: not the patience of one time-out for each of a thousand writes."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)
        finished = []
        server = threading.Thread(target=read_slowly, args=(listener, finished), daemon=True)
        server.start()
        relay = make_relay('route next {\n\thost 127.0.0.1:%d\n\ttimeout 1s\n\trate_min %s\n}\naccept from local to any via next\n'
                           % (listener.getsockname()[1], rate))
        c = relay.client()
        c.hello()
        assert c.mail(b'Subject: large\r\n\r\n' + (b'x' * 998 + b'\r\n') * 20000, to=('b@dest.example',))[0] == 250
        c.close()
        server.join(60)
        assert not server.is_alive() and bool(finished) == arrives
        if not arrives:
            wait_for(lambda: relay.events('deferred'))
            assert 'does not take the content in time' in relay.wait_event('deferred')[0]['reply']
