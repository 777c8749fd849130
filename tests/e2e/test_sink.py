"""relevo sink as a provider: what it refuses, and what it tells about what it saw."""
import json, subprocess, time

import pytest
from relevo import BINARY, PATIENCE, Client, free_port, wait_for


class Sink:
    def __init__(self, tmp_path, *options, listen='127.0.0.1'):
        self.port = free_port(listen)
        self.stats, self.journal = tmp_path / 'stats', tmp_path / 'journal'
        self.p = subprocess.Popen(
            [BINARY, 'sink', '--listen', '%s:%d' % (listen, self.port), '--stats', str(self.stats), '--journal',
             str(self.journal), '--quiet', '--time', str(int(60 * PATIENCE)), *options], stdout=subprocess.PIPE)
        wait_for(self.answers)

    def answers(self):
        assert self.p.poll() is None, 'the sink has ended'
        try:
            Client(self.port, host='127.0.0.254', greet=False).s.close()
            return True
        except OSError:
            return False

    def end(self):
        self.p.terminate()
        assert self.p.wait(20 * PATIENCE) == 0
        return json.loads(self.stats.read_text()), [line.split() for line in self.journal.read_text().splitlines()]


@pytest.fixture
def sink(tmp_path):
    made = []

    def make(*options):
        made.append(Sink(tmp_path, *options, listen='0.0.0.0'))
        return made[-1]
    yield make
    for s in made:
        s.p.poll() is None and s.p.kill()
        s.p.wait()


def send(c, recipient='b@b.example', sender='a@a.example'):
    """The first reply that is a refusal, or the last."""
    for line in ('MAIL FROM:<%s>' % sender, 'RCPT TO:<%s>' % recipient):
        code, text = c.cmd(line)
        if code >= 400:
            return code, text
    return c.data(b'Subject: x\r\n\r\nx\r\n')


def test_connections(sink):
    s = sink('--connections-max', '2', '--per-ip')
    held = [Client(s.port, source='127.0.0.2') for _ in range(2)]
    code, text = Client(s.port, source='127.0.0.2').greeting
    assert code == 421 and text.startswith('4.7.0 ')
    assert Client(s.port, source='127.0.0.3').greeting[0] == 220
    for c in held:
        c.s.shutdown(2)
        c.f.close()
        c.s.close()
    wait_for(lambda: Client(s.port, source='127.0.0.2').greeting[0] == 220)
    stats, _ = s.end()
    assert stats['refused']['connections'] >= 1
    assert stats['clients']['127.0.0.2']['connections_peak'] >= 3


def test_extra_connections_are_closed(sink):
    s = sink('--connections-max', '1', '--per-ip', '--close')
    held = Client(s.port, source='127.0.0.2')
    assert Client(s.port, source='127.0.0.2').greeting == (0, '')
    assert held.cmd('NOOP')[0] == 250


def test_rate(sink):
    s = sink('--rate', '3/2s', '--window', '2s')
    c = Client(s.port)
    c.hello()
    assert [send(c)[0] for _ in range(3)] == [250] * 3
    code, text = send(c)
    assert code == 421 and text.startswith('4.7.28 ')
    assert c.f.read() == b''
    time.sleep(2.1)
    c = Client(s.port)
    c.hello()
    assert send(c)[0] == 250
    stats, journal = s.end()
    assert stats['windows_ms'] == [2000] and stats['peaks'] == [4] and stats['messages'] == 4
    assert stats['refused']['rate'] == 1
    assert [line[3] for line in journal] == ['250'] * 3 + ['421', '250']


def test_rate_reply(sink):
    s = sink('--rate', '1/h', '--rate-reply', '451 4.7.1 slow down')
    c = Client(s.port)
    c.hello()
    assert send(c)[0] == 250
    assert send(c) == (451, '4.7.1 slow down')
    assert c.cmd('NOOP')[0] == 250


def test_messages_on_a_connection(sink):
    s = sink('--messages-max', '2')
    c = Client(s.port)
    c.hello()
    assert [send(c)[0] for _ in range(3)] == [250, 250, 421]


def test_greylist(sink):
    s = sink('--greylist', '1s')
    c = Client(s.port)
    c.hello()
    assert send(c)[0] == 450
    c.cmd('RSET')
    time.sleep(1.1)
    assert send(c)[0] == 250
    assert send(c, sender='other@a.example')[0] == 450
    c.cmd('RSET')
    other = Client(s.port, source='127.0.0.9')
    other.hello()
    assert send(other)[0] == 450


def test_blocklist(sink):
    s = sink('--blocklist', '127.0.0.6', '--blocklist', '127.0.1.0/24')
    assert Client(s.port, source='127.0.0.6').greeting[0] == 554
    assert Client(s.port, source='127.0.1.77').greeting[0] == 554
    assert Client(s.port, source='127.0.0.7').greeting[0] == 220


def test_latency_counts_once_for_a_flight(sink):
    s = sink('--latency', '200ms')
    c = Client(s.port)
    began = time.monotonic()
    c.hello()
    assert time.monotonic() - began >= 0.2
    began = time.monotonic()
    c.send('NOOP\r\n' * 10)
    assert [c.reply()[0] for _ in range(10)] == [250] * 10
    assert 0.2 <= time.monotonic() - began < 1 * PATIENCE


def test_cut_share(sink):
    s = sink('--cut', '100%')

    def goes():
        c = Client(s.port)
        try:
            if c.greeting[0] != 220:
                return False
            c.hello()
            return send(c)[0] == 250
        except (OSError, AssertionError):
            return False
    assert not any(goes() for _ in range(12))


def test_what_it_saw(sink):
    s = sink('--window', '1h')
    for host, client, recipient in (('127.0.0.1', '127.0.0.2', 'x@One.example'),
                                    ('127.0.0.7', '127.0.0.2', 'y@two.example'),
                                    ('127.0.0.7', '127.0.0.3', 'z@one.example')):
        c = Client(s.port, host=host, source=client)
        c.hello()
        assert send(c, recipient)[0] == 250
        c.cmd('MAIL FROM:<gone@a.example>')
        c.cmd('RSET')
        c.cmd('QUIT')
    stats, journal = s.end()
    assert stats['messages'] == 3 and stats['transactions'] == 6 and stats['peaks'] == [6]
    assert stats['clients']['127.0.0.2']['messages'] == 2
    assert stats['hosts']['127.0.0.7']['peaks'] == [4]
    assert {d: v['messages'] for d, v in stats['domains'].items()} == {'one.example': 2, 'two.example': 1}
    assert [line[1:] for line in journal if line[3] == '250'] == [
        ['127.0.0.2', '127.0.0.1', '250', 'a@a.example', 'x@One.example', '17'],
        ['127.0.0.2', '127.0.0.7', '250', 'a@a.example', 'y@two.example', '17'],
        ['127.0.0.3', '127.0.0.7', '250', 'a@a.example', 'z@one.example', '17']]
    assert abs(int(journal[0][0]) / 1000 - time.time()) < 60 * PATIENCE


@pytest.mark.parametrize('option', (['--rate', '5'], ['--rate', '0/s'], ['--blocklist', 'x'], ['--window', '0'],
                                    ['--rate-reply', '250 fine'], ['--cut', 'nowhere'], ['--journal', '/no/where']))
def test_bad_options(option):
    assert subprocess.run([BINARY, 'sink', '--listen', '127.0.0.1:%d' % free_port(), '--time', '1', *option],
                          stderr=subprocess.DEVNULL, timeout=20 * PATIENCE).returncode in (1, 2)
