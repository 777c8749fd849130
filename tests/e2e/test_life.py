"""Start, stop, crash, reload, restart: nothing acknowledged is ever lost."""
import os, re, signal, socket, subprocess, threading, time

import pytest

from relevo import BINARY, PATIENCE, ROUTE, Relay, Sink, free_port, wait_for


def submit(relay, n, start=0):
    c = relay.client()
    c.hello()
    for i in range(start, start + n):
        assert c.mail(b'Subject: n%d\r\n\r\nbody\r\n' % i, to=('b%d@dest.example' % i,))[0] == 250
    c.close()


def numbers(sink):
    return sorted(int(re.search(rb'Subject: n(\d+)', m.content).group(1)) for m in sink.messages)


def test_restart_with_a_full_queue(make_relay):
    port = free_port()
    relay = make_relay('queue {\n\tretry 1s\n}\n' + ROUTE % port)
    submit(relay, 300)
    assert relay.stop() == 0
    relay.start()
    assert relay.command('queue', 'list').stdout.count('@dest.example') >= 300
    relay.stop()
    sink = Sink(port=port)
    try:
        relay.start()
        wait_for(lambda: len(sink.messages) >= 300, 20)
        assert numbers(sink) == list(range(300))
    finally:
        sink.close()


def test_kill_nine(make_relay):
    """What was acknowledged before kill -9 is there afterwards; at most what was in flight comes twice."""
    port = free_port()
    relay = make_relay('queue {\n\tretry 1s\n}\n' + ROUTE % port)
    acknowledged = []

    def client(k):
        try:
            c = relay.client()
            c.hello()
            for i in range(k * 1000, k * 1000 + 1000):
                if c.mail(b'Subject: n%d\r\n\r\nbody\r\n' % i)[0] == 250:
                    acknowledged.append(i)
        except (OSError, ValueError, AssertionError):
            pass
    sink = None
    for round in range(3):
        threads = [threading.Thread(target=client, args=(round * 4 + k,)) for k in range(4)]
        for t in threads:
            t.start()
        time.sleep(0.3)
        relay.kill()
        for t in threads:
            t.join()
        if round == 1:
            sink = Sink(port=port)
        relay.start()
    try:
        wait_for(lambda: set(acknowledged) <= set(numbers(sink)), 60)
        assert len(acknowledged) > 50
    finally:
        sink.close()


def test_worker_crash_is_mended(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    first = relay.worker()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: relay.worker() not in (None, first), 15)
    wait_for(relay.greets, 15)
    submit(relay, 1)
    wait_for(lambda: sink.messages)
    assert relay.events('crashed')


def test_worker_dies_with_the_supervisor(make_relay, make_sink):
    relay = make_relay(ROUTE % make_sink().port)
    worker = relay.worker()
    os.kill(relay.p.pid, signal.SIGKILL)
    relay.p.wait()
    wait_for(lambda: not os.path.exists('/proc/%d' % worker) or
             open('/proc/%d/stat' % worker).read().rsplit(')', 1)[1].split()[0] == 'Z')


def test_one_spool_one_relay(make_relay, make_sink):
    relay = make_relay(ROUTE % make_sink().port)
    other = make_relay(ROUTE % 9, start=False)
    other.state = relay.state
    other.configure(ROUTE % 9)
    start = time.monotonic()
    other.start(wait=False)
    assert other.p.wait(20 * PATIENCE) != 0
    assert time.monotonic() - start > 2, 'it waits a little for a dying predecessor'
    assert 'another' in other.text().lower()
    assert relay.greets()


def test_graceful_stop_finishes_content(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port)
    idle, busy = relay.client(), relay.client()
    idle.hello()
    busy.hello()
    busy.cmd('MAIL FROM:<a@client.example>')
    busy.cmd('RCPT TO:<b@dest.example>')
    assert busy.cmd('DATA')[0] == 354
    busy.send(b'Subject: n1\r\n\r\nhalf')
    relay.p.send_signal(signal.SIGTERM)
    assert idle.reply()[0] == 421
    time.sleep(0.5)
    busy.send(b' and half\r\n.\r\n')
    assert busy.reply()[0] == 250
    assert relay.p.wait(20 * PATIENCE) == 0
    relay.start()
    wait_for(lambda: sink.messages)
    assert b'half and half' in sink.messages[0].content


def test_without_an_accepting_rule(make_relay):
    """Legal, warned about, and everything is refused (D6)."""
    relay = make_relay('')
    assert 'no rule accepts mail' in relay.text()
    c = relay.client()
    c.hello()
    assert c.cmd('MAIL FROM:<a@client.example>')[0] == 250      # <postmaster> might follow
    assert c.cmd('RCPT TO:<b@dest.example>')[0] == 550
    c.close()


def test_stop_finishes_deliveries_and_begins_none(make_relay):
    """A full queue and a slow hop: what is under way ends, nothing is cut and sent a second time after the restart."""
    sink = Sink(script=lambda stage, *rest: ('SLEEP', 0.5) if stage == 'end' else None)
    try:
        relay = make_relay(ROUTE % sink.port)
        submit(relay, 300)
        wait_for(lambda: sink.messages)
        start = time.monotonic()
        assert relay.stop() == 0
        assert time.monotonic() - start < 4 * PATIENCE
        assert len(sink.messages) < 300
        sink.script = lambda *rest: None
        relay.start()
        wait_for(lambda: len(set(numbers(sink))) == 300)
        assert numbers(sink) == list(range(300))
    finally:
        sink.close()


def test_stop_is_quick_when_idle(make_relay, make_sink):
    relay = make_relay(ROUTE % make_sink().port)
    start = time.monotonic()
    assert relay.stop() == 0
    assert time.monotonic() - start < 3 * PATIENCE


@pytest.mark.parametrize('how', ['SIGHUP', 'command'])
def test_reload(make_relay, make_sink, how):
    one, two = make_sink(), make_sink()
    relay = make_relay(ROUTE % one.port)
    old = relay.client()
    old.hello()
    submit(relay, 1)
    wait_for(lambda: one.messages)
    extra = free_port()

    def reload(check=True):
        if how == 'SIGHUP':
            relay.p.send_signal(signal.SIGHUP)
            return None
        return relay.command('reload', check=check)
    # An unsound configuration changes nothing.
    relay.configure('rout next {\n}\n')
    r = reload(check=False)
    relay.wait_event('reload-failed')
    if r:
        assert r.returncode == 1 and 'did you mean' in r.stdout + r.stderr
    submit(relay, 1, start=1)
    wait_for(lambda: len(one.messages) == 2)
    # A sound one is taken over, with a new address.
    relay.configure('listen 127.0.0.1:%d\n' % extra + ROUTE % two.port)
    reload()
    relay.wait_event('reloaded')
    submit(relay, 1, start=2)
    wait_for(lambda: two.messages)
    wait_for(lambda: socket.create_connection(('127.0.0.1', extra), 2).recv(100).startswith(b'220'))
    # A session from before is still served.
    assert old.mail(b'Subject: n3\r\n\r\n')[0] == 250
    old.close()


def test_log_file_is_reopened(make_relay, make_sink, tmp_path):
    sink = make_sink()
    relay = make_relay('log file %s/relevo.log\n' % tmp_path + ROUTE % sink.port)
    path = tmp_path / 'relevo.log'
    submit(relay, 1)
    wait_for(lambda: path.exists() and ' relayed ' in path.read_text())
    os.rename(path, tmp_path / 'old')
    relay.p.send_signal(signal.SIGHUP)
    wait_for(lambda: path.exists())
    submit(relay, 1, start=1)
    wait_for(lambda: ' relayed ' in path.read_text())


def test_json_log(make_relay, make_sink):
    import json
    sink = make_sink()
    relay = make_relay('log json\n' + ROUTE % sink.port)
    submit(relay, 1)
    wait_for(lambda: '"relayed"' in relay.text())
    lines = [json.loads(x) for x in relay.text().splitlines() if x.startswith('{')]
    got = {x['event']: x for x in lines}
    assert got['received']['session'] and got['received']['id'] == got['relayed']['id']


def test_transcript(make_relay, make_sink):
    sink = make_sink()
    relay = make_relay('log transcript for 127.0.0.0/8\n' + ROUTE % sink.port)
    submit(relay, 1)
    relay.wait_event('done')
    text = '\n'.join(str(e) for e in relay.wait_event('transcript', 10))
    for word in ('EHLO client.example', '250', 'MAIL FROM:<a@client.example>', '354', 'sink.example ESMTP'):
        assert word in text, word
    assert 'body' not in text.replace('BODY', ''), 'content is counted, not shown'


def test_notify(make_relay, make_sink, tmp_path):
    """systemd's protocol: READY=1 when it serves, STOPPING=1 when it ends."""
    path = str(tmp_path / 'notify')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(15 * PATIENCE)
        relay = make_relay(ROUTE % make_sink().port, env={'NOTIFY_SOCKET': path})
        got = s.recv(4096)
        while b'READY=1' not in got:
            got = s.recv(4096)
        relay.p.send_signal(signal.SIGTERM)
        while b'STOPPING=1' not in got:
            got = s.recv(4096)
        relay.p.wait(20 * PATIENCE)


def test_socket_activation(make_relay, make_sink):
    """A listening socket that systemd hands over is used in place of binding anew."""
    sink = make_sink()
    relay = make_relay(ROUTE % sink.port, start=False)
    s = socket.create_server(('127.0.0.1', relay.port))
    script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&%d; exec %s run -c %s' % (s.fileno(), BINARY, relay.conf)
    out = open(relay.log, 'ab')
    relay.p = subprocess.Popen(['bash', '-c', script], pass_fds=[s.fileno()], stdin=subprocess.DEVNULL, stdout=out,
                               stderr=out, start_new_session=True)
    out.close()
    s.close()
    wait_for(relay.greets, 15)
    submit(relay, 1)
    wait_for(lambda: sink.messages)


def test_user(make_relay, make_sink):
    """The worker runs as the user that the configuration names; the spool belongs to it."""
    if os.getuid() != 0:
        pytest.skip('only root can change the user')
    import pwd
    nobody = pwd.getpwnam('nobody')
    sink = make_sink()
    relay = make_relay('user nobody\n' + ROUTE % sink.port)
    with open('/proc/%d/status' % relay.worker()) as f:
        status = f.read()
    assert re.search(r'^Uid:\s+%d\s+%d\s+%d' % ((nobody.pw_uid,) * 3), status, re.M)
    assert re.search(r'^NoNewPrivs:\s+1', status, re.M)
    submit(relay, 1)
    wait_for(lambda: sink.messages)
    assert os.stat(relay.state).st_uid == nobody.pw_uid
    other = make_relay(ROUTE % sink.port)
    assert re.search(r'warning.*root', other.text(), re.I)


def test_crashing_message_is_held(make_relay):
    """A message that is being worked on at two crashes is held, and the rest goes on."""
    port = free_port()
    relay = make_relay('queue {\n\tretry 1s\n}\n' + ROUTE % port)

    def crash(go):
        """The worker aborts in the middle of its next connect, which is the delivery's."""
        worker = relay.worker()
        tracer = subprocess.Popen(['strace', '-f', '-qq', '-o', '/dev/null', '-p', str(worker), '-e', 'trace=connect', '-e',
                                   'inject=connect:signal=SIGABRT'], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: 'TracerPid:\t0' not in open('/proc/%d/status' % worker).read())
            go()
            wait_for(lambda: relay.worker() not in (None, worker), 20)
        finally:
            tracer.kill()
            tracer.wait()
        wait_for(relay.greets, 15)

    def submit_poison():
        c = relay.client()
        c.hello()
        assert c.mail(b'Subject: n0\r\n\r\n', to=('poison@dest.example',))[0] == 250
        c.close()
    crash(submit_poison)
    assert not relay.events('held')
    crash(lambda: relay.command('queue', 'retry', 'all', check=False))
    relay.wait_event('held')
    assert 'held' in relay.command('queue', 'list').stdout
    sink = Sink(port=port)
    try:
        submit(relay, 1, start=5)
        wait_for(lambda: sink.messages, 20)
        assert numbers(sink) == [5]
    finally:
        sink.close()
