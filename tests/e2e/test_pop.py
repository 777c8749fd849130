"""SMTP after POP: a login at the POP3 listener lets its client relay for a time, and nobody else."""
import contextlib, socket, subprocess

from relevo import BINARY, Sink, free_port, wait_for

TEXT = '''users file %s
pop 127.0.0.1:%d { allow_for 1m }
route next { host 127.0.0.1:%d }
accept from pop to any via next
'''


class Pop:
    def __init__(self, port):
        self.s = socket.create_connection(('127.0.0.1', port), 20)
        self.f = self.s.makefile('rb')
        assert self.line().startswith('+OK')

    def line(self):
        return self.f.readline().decode().rstrip('\r\n')

    def cmd(self, line):
        self.s.sendall(line.encode() + b'\r\n')
        return self.line()

    def close(self):
        self.f.close()
        self.s.close()


def may_relay(relay):
    c = relay.client()
    c.hello()
    code, text = c.cmd('MAIL FROM:<a@a.example>')
    if code == 250:
        code, text = c.cmd('RCPT TO:<b@elsewhere.example>')
    c.close()
    return code == 250


def test_login_lets_relay(make_relay, tmp_path):
    users, port = tmp_path / 'users', free_port()
    subprocess.run([BINARY, 'user', 'add', 'anna', '-f', str(users), '--password-stdin'], input='secret\n', text=True, check=True,
                   timeout=60)
    tmp_path.chmod(0o755)
    users.chmod(0o644)
    with contextlib.closing(Sink()) as sink:
        relay = make_relay(TEXT % (users, port, sink.port))
        p = Pop(port)
        assert p.cmd('USER anna') == '+OK'
        assert p.cmd('PASS wrong').startswith('-ERR [AUTH]')
        assert not may_relay(relay)
        assert p.cmd('USER anna') == '+OK'
        assert p.cmd('PASS secret').startswith('+OK')
        assert p.cmd('STAT') == '+OK 0 0'
        assert may_relay(relay)
        assert p.cmd('QUIT').startswith('+OK')
        p.close()
        assert may_relay(relay)
        assert wait_for(lambda: relay.events('popped'))[0]['seconds'] == '60'
        # what is known of clients ends with the process
        relay.stop()
        relay.start()
        assert not may_relay(relay)


def test_passed_through(make_relay):
    port, upstream = free_port(), socket.create_server(('127.0.0.1', 0))
    with contextlib.closing(Sink()) as sink, contextlib.closing(upstream):
        relay = make_relay('pop 127.0.0.1:%d { upstream 127.0.0.1:%d tls off }\nroute next { host 127.0.0.1:%d }\n'
                           'accept from pop to any via next\n' % (port, upstream.getsockname()[1], sink.port))
        s = socket.create_connection(('127.0.0.1', port), 20)
        server, _ = upstream.accept()
        f, g = s.makefile('rwb', 0), server.makefile('rwb', 0)
        for asked, answer in ((None, b'+OK hello\r\n'), (b'USER anna\r\n', b'+OK\r\n'), (b'PASS no\r\n', b'-ERR no\r\n'),
                              (b'PASS yes\r\n', b'+OK yours\r\n'), (b'RETR 1\r\n', b'+OK\r\nline\r\n.\r\n')):
            if asked:
                f.write(asked)
                assert g.readline() == asked
            if asked == b'PASS yes\r\n':
                assert not may_relay(relay)
            g.write(answer)
            for line in answer.splitlines(True):
                assert f.readline() == line
        assert may_relay(relay)
        for x in (f, g, s, server):
            x.close()
