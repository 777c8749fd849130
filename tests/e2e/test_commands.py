"""check, explain, send, sink, load, demo, help: the tools in the binary."""
import glob, json, os, re, signal, subprocess, time

import pytest

from relevo import BINARY, EXAMPLES, PATIENCE, ROUTE, free_port, wait_for


def relevo(*args, timeout=60, **kw):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=timeout * PATIENCE, **kw)


def conf(tmp_path, text, name='relevo.conf'):
    p = tmp_path / name
    p.write_text(text)
    return str(p)


SOUND = '''version 1
hostname relay.test.example
listen 127.0.0.1:2525
route next {
	host 127.0.0.1:25
}
accept from local to any via next
'''


def test_check(tmp_path):
    r = relevo('check', '-c', conf(tmp_path, SOUND))
    assert r.returncode == 0, r.stdout + r.stderr
    r = relevo('check', '-c', conf(tmp_path, SOUND + 'lissten 127.0.0.1:1\naccept from any to any via next\naccept from local to any via nxt\n'))
    assert r.returncode == 1
    text = r.stdout + r.stderr
    assert re.search(r'relevo\.conf:8:1: error: .*did you mean "listen"', text), text
    assert re.search(r'relevo\.conf:9:\d+: error: ', text) and re.search(r'relevo\.conf:10:\d+: error: .*nxt', text), text
    assert relevo('check', '--nonsense').returncode == 2
    assert relevo('check', '-c', str(tmp_path / 'absent')).returncode == 1


@pytest.mark.parametrize('rule', ['accept from any to any via next', 'accept from 0.0.0.0/0 to any via next',
                                  'accept from 0.0.0.0/1 128.0.0.0/1 to any via next', 'accept from ::/0 to any via next',
                                  'accept from any sender a@b.example to any via next',
                                  'accept from 0.0.0.0/1 to any via next\naccept from 128.0.0.0/1 to any via next',
                                  'table t {\n\t0.0.0.0/2\n\t64.0.0.0/2\n}\naccept from table t to any via next'])
def test_open_relay_is_refused(tmp_path, rule):
    r = relevo('check', '-c', conf(tmp_path, SOUND + rule + '\n'))
    assert r.returncode == 1, r.stdout + r.stderr
    r = relevo('run', '-c', conf(tmp_path, SOUND + rule + '\n'))
    assert r.returncode == 1


def test_dangerously_open(tmp_path):
    r = relevo('check', '-c', conf(tmp_path, SOUND.replace('accept from local to any via next', 'accept from any to any via next dangerously-open')))
    assert r.returncode == 0, r.stdout + r.stderr


def test_explain(tmp_path):
    path = conf(tmp_path, SOUND + 'accept from any to domain ours.example via next\nreject from any to any "not here"\n')
    r = relevo('explain', '-c', path, '--client', '192.0.2.1', '--from', 'x@y.example', '--to', 'z@ours.example')
    assert r.returncode == 0 and ':8' in r.stdout and 'next' in r.stdout and '127.0.0.1:25' in r.stdout, r.stdout
    r = relevo('explain', '-c', path, '--client', '192.0.2.1', '--from', 'x@y.example', '--to', 'z@other.example')
    assert 'not here' in r.stdout and ':9' in r.stdout, r.stdout


def test_examples():
    """The examples load up to the statements of later versions, which are named as such."""
    files = sorted(glob.glob(os.path.join(EXAMPLES, '*.conf')))
    if not files:
        pytest.skip('no examples here')
    for f in files:
        r = relevo('check', '-c', f)
        for line in (r.stdout + r.stderr).splitlines():
            if ': error: ' in line:
                assert 'version' in line or 'route' in line, line


def test_help():
    r = relevo('help')
    assert r.returncode == 0
    for word in 'run check explain reload queue send sink load demo'.split():
        assert re.search(r'^\s+%s\b' % word, r.stdout, re.M), word
    r = relevo('chekc')
    assert r.returncode == 2 and 'check' in r.stderr
    assert relevo('version').returncode == 0


@pytest.mark.parametrize('command', ['run', 'check', 'explain', 'queue', 'reload', 'send', 'sink', 'load', 'demo'])
def test_each_has_help(command):
    r = relevo(command, '--help')
    assert r.returncode == 0 and 'sage' in r.stdout, r.stdout + r.stderr


def test_send(make_relay, make_sink, tmp_path):
    sink = make_sink(lambda at, a, s: '550 5.1.1 no' if at == 'rcpt' and 'bad@' in a else None)
    relay = make_relay('route next {\n\thost 127.0.0.1:%d\n}\naccept from local to domain dest.example via next\n' % sink.port)
    args = ['send', '--server', '127.0.0.1:%d' % relay.port, '--from', 'a@client.example']
    r = relevo(*args, '--to', 'b@dest.example', input='Subject: by send\n\n.dot\nend\n')
    assert r.returncode == 0 and '250' in r.stdout, r.stdout + r.stderr
    wait_for(lambda: sink.messages)
    assert sink.messages[0].content.endswith(b'Subject: by send\r\n\r\n.dot\r\nend\r\n')
    assert relevo(*args, '--to', 'b@other.example', input='x\n').returncode == 1
    assert relevo('send', '--server', '127.0.0.1:%d' % free_port(), '--to', 'b@dest.example', input='x\n').returncode == 75


def test_load_and_sink(make_relay):
    """load proves that every message arrived, once, unchanged, at its own sink."""
    port = free_port()
    relay = make_relay(ROUTE % port)
    r = relevo('load', '--server', '127.0.0.1:%d' % relay.port, '--sink', '127.0.0.1:%d' % port, '--count', '2000',
               '--connections', '20', '--size', '5000', '--json', timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    result = json.loads(r.stdout.strip().splitlines()[-1])
    assert result['accepted'] == 2000 and result['proof']['complete'] == 2000, result
    assert not any(result['proof'][k] for k in ('missing', 'duplicate', 'different')), result


def test_load_sees_a_loss(make_sink, tmp_path):
    """The proof can fail: a server that takes everything and passes nothing on."""
    sink = make_sink()
    r = relevo('load', '--server', '127.0.0.1:%d' % sink.port, '--sink', '127.0.0.1:%d' % free_port(), '--count', '20',
               '--connections', '2', '--wait', '3s', '--json', timeout=60)
    assert r.returncode == 1, r.stdout + r.stderr


def test_sink_refuses_a_share(tmp_path):
    port = free_port()
    p = subprocess.Popen([BINARY, 'sink', '--listen', '127.0.0.1:%d' % port, '--reply', 'rcpt=450 4.2.0 busy', '--share', '50%',
                          '--store', str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        def up():
            return relevo('send', '--server', '127.0.0.1:%d' % port, '--to', 'x@y.example', input='a\n').returncode in (0, 1, 75)
        time.sleep(0.5)
        codes = [relevo('send', '--server', '127.0.0.1:%d' % port, '--from', 'a@b.example', '--to', 'x@y.example', input='a\n').returncode
                 for _ in range(40)]
        assert 5 <= codes.count(0) <= 35 and 5 <= codes.count(75) <= 35, codes
        assert len(glob.glob(str(tmp_path / '*.eml'))) == codes.count(0)
    finally:
        p.send_signal(signal.SIGTERM)
        out = p.communicate(timeout=10 * PATIENCE)[0]
    assert str(codes.count(0)) in out


def test_demo():
    r = relevo('demo', '--once', '--port', str(free_port()), timeout=90)
    assert r.returncode == 0, r.stdout + r.stderr
    assert 'relayed' in r.stdout + r.stderr


def test_check_sees_what_the_account_cannot(tmp_path):
    """What would hurt only at the next reload or login: an account, a users file, a file that the account cannot read."""
    path = conf(tmp_path, SOUND + 'user nobody-of-that-name\nusers file users\naccept from login to any via next\n')
    (tmp_path / 'users').write_text('ann without a hash\n')
    (tmp_path / 'users').chmod(0o600)
    r = relevo('check', '-c', path)
    assert r.returncode == 0 and '2 warnings' in r.stdout, r.stdout + r.stderr
    assert 'there is no account "nobody-of-that-name"' in r.stderr
    assert 'nobody can log in by this users file' in r.stderr and 'users:1: ' in r.stderr
    assert 'missing' not in r.stdout
    (tmp_path / 'users').unlink()
    assert 'would not start without them' in relevo('check', '-c', path).stdout
    if os.geteuid() != 0:
        return          # only root can be somebody else for a moment
    path = conf(tmp_path, SOUND + 'user nobody\ntable t file names\naccept from local to domain table t via next\n')
    for folder in (tmp_path, *tmp_path.parents):      # as deep as it may be: of tests that run side by side there is one more
        folder.chmod(0o755)
        if folder.name.startswith('pytest-of-'):
            break
    (tmp_path / 'names').write_text('example.org\n')
    (tmp_path / 'names').chmod(0o600)
    r = relevo('check', '-c', path)
    assert r.returncode == 0 and re.search('/names: warning: the account nobody cannot read this file', r.stderr), r.stderr
    (tmp_path / 'names').chmod(0o644)
    assert 'cannot read' not in relevo('check', '-c', path).stderr


def test_explain_beside_the_rules(tmp_path):
    """Who may not send as that, whom a relay domain does not have, who has looked at his mail: by the same words as the relay."""
    path = conf(tmp_path, SOUND + 'users file users\nsecrets secrets\npop 127.0.0.1:2110\ntable people { ann@ours.example }\n'
                'route ours { host 127.0.0.1; recipients table people }\npostmaster a@b.example via next\n'
                'accept from any to domain ours.example via ours\naccept from pop to any via next\naccept from login to any via next\n')
    for name in ('ann@ours.example', 'out@ours.example'):
        r = relevo('user', 'add', name, '--password-stdin', '-c', path, input='x\n')
        assert r.returncode == 0, r.stderr
    assert relevo('user', 'disable', 'out@ours.example', '-c', path).returncode == 0

    def explain(*words, to='z@far.example'):
        r = relevo('explain', '-c', path, '--client', '192.0.2.1', '--to', to, *words)
        assert r.returncode == 0, r.stderr
        return r.stdout
    assert 'may send as <ann@ours.example>' in explain('--login', 'ann@ours.example', '--from', 'ann@ours.example')
    assert '553 5.7.1 That sender is not yours' in explain('--login', 'ann@ours.example', '--from', 'eve@ours.example')
    assert 'but disabled' in explain('--login', 'out@ours.example', '--from', 'out@ours.example')
    assert 'cannot log in' in explain('--login', 'who@ours.example', '--from', 'who@ours.example')
    assert 'refused: 550 5.7.1' in explain('--from', 'x@y.example')
    assert 'refused' not in explain('--from', 'x@y.example', '--pop')
    assert 'but refused: 550 5.1.1' in explain('--from', 'x@y.example', to='bob@ours.example')
    assert 'refused' not in explain('--from', 'x@y.example', to='ann@ours.example')
