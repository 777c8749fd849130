"""Real clients and real servers: what people use to send mail, and Postfix on both sides."""
import os, re, shutil, smtplib, subprocess

import pytest

from relevo import PATIENCE, ROOT, ROUTE, free_port, wait_for

MESSAGE = 'From: a@client.example\r\nTo: b@dest.example\r\nSubject: hello\r\n\r\nline\r\n.dot\r\nend\r\n'


def need(program):
    path = shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/sbin')
    if not path:
        pytest.fail(program + ' is not installed: run tools/deps')
    return path


def run(args, **kw):
    r = subprocess.run(args, capture_output=True, text=True, timeout=60 * PATIENCE, **kw)
    assert r.returncode == 0, (args, r.returncode, r.stdout, r.stderr)
    return r.stdout


@pytest.fixture
def pair(make_relay, make_sink):
    sink = make_sink()
    return make_relay(ROUTE % sink.port), sink


def arrived(sink, *words):
    wait_for(lambda: sink.messages)
    for w in words:
        assert w in sink.messages[0].content, (w, sink.messages[0].content)


def test_swaks(pair):
    relay, sink = pair
    run([need('swaks'), '--server', '127.0.0.1:%d' % relay.port, '--from', 'a@client.example', '--to', 'b@dest.example',
         '--header', 'Subject: swaks', '--body', 'x\n.y'])
    arrived(sink, b'Subject: swaks', b'\r\n.y')


def test_swaks_pipelined(pair):
    relay, sink = pair
    run([need('swaks'), '--server', '127.0.0.1:%d' % relay.port, '--from', 'a@client.example', '--to', 'b@dest.example',
         '--pipeline', '--header', 'Subject: swaks'])
    arrived(sink, b'Subject: swaks')


def test_msmtp(pair):
    relay, sink = pair
    run([need('msmtp'), '--file=/dev/null', '--host=127.0.0.1', '--port=%d' % relay.port, '--from=a@client.example',
         'b@dest.example'], input=MESSAGE.replace('\r\n', '\n'))
    arrived(sink, b'Subject: hello', b'\r\n.dot\r\nend\r\n')


def test_curl(pair, tmp_path):
    relay, sink = pair
    (tmp_path / 'm').write_bytes(MESSAGE.encode())
    run([need('curl'), '--no-progress-meter', 'smtp://127.0.0.1:%d/client.example' % relay.port, '--mail-from', 'a@client.example',
         '--mail-rcpt', 'b@dest.example', '--upload-file', str(tmp_path / 'm')])
    arrived(sink, b'Subject: hello', b'\r\n.dot\r\nend\r\n')


def test_smtplib(pair):
    relay, sink = pair
    with smtplib.SMTP('127.0.0.1', relay.port, timeout=20) as s:
        s.sendmail('a@client.example', ['b@dest.example', 'c@dest.example'], MESSAGE, mail_options=['BODY=8BITMIME'])
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            s.sendmail('a@client.example', ['no brackets or domain <'], MESSAGE)
        s.sendmail('a@client.example', ['d@dest.example'], MESSAGE)
    wait_for(lambda: len(sink.messages) == 2)
    assert sorted(len(m.rcpt) for m in sink.messages) == [1, 2]


def test_nodemailer(pair):
    relay, sink = pair
    modules = os.path.join(ROOT, 'build', 'npm', 'node_modules')
    if not os.path.isdir(os.path.join(modules, 'nodemailer')):
        pytest.fail('nodemailer is not installed: run tools/deps')
    code = '''const t = require("nodemailer").createTransport({ host: "127.0.0.1", port: %d, secure: false, ignoreTLS: true, pool: true });
Promise.all([1, 2, 3].map(i => t.sendMail({ from: "a@client.example", to: "b@dest.example", subject: "nodemailer " + i,
	text: "plain", html: "<p>h\\u00e4</p>", attachments: [{ filename: "x.bin", content: Buffer.alloc(50000, i) }] })))
.then(r => { t.close(); console.log(r.map(x => x.response).join("\\n")); }, e => { console.error(e); process.exit(1); });''' % relay.port
    out = run([need('node'), '-e', code], env=dict(os.environ, NODE_PATH=modules))
    assert out.count('250 ') == 3
    wait_for(lambda: len(sink.messages) == 3)


def test_smtp_source_and_sink(make_relay):
    """smtp-source -> Relevo -> smtp-sink, many sessions, nothing lost."""
    port = free_port()
    sink = subprocess.Popen([need('smtp-sink'), '-c'] + (['-u', 'nobody'] if os.getuid() == 0 else []) +
                            ['127.0.0.1:%d' % port, '500'], stdout=subprocess.PIPE)
    try:
        relay = make_relay(ROUTE % port)
        for options in ([], ['-d'], ['-N', '-d'], ['-r', '5']):
            run([need('smtp-source'), '-s', '20', '-m', '500', '-l', '3000', '-C', '10', '-f', 'a@client.example',
                 '-t', 'b@dest.example', *options, '127.0.0.1:%d' % relay.port])
        wait_for(lambda: len(relay.events('done')) >= 2000, 30, 0.2)
        assert not relay.events('bounced') and 'No mail' not in relay.text()
        assert 'is empty' in relay.command('queue', 'list').stdout or not relay.command('queue', 'list', '--json').stdout.strip(' []\n')
    finally:
        sink.terminate()
        sink.wait()
        sink.stdout.close()


def test_postfix_both_sides(make_relay, make_sink, make_postfix):
    """Postfix -> Relevo -> Postfix -> sink, with DSN parameters on the way."""
    sink = make_sink(offers=('PIPELINING', '8BITMIME', 'DSN', 'SIZE 100000000'))
    second = make_postfix(sink.port)
    relay = make_relay(ROUTE % second.port)
    first = make_postfix(relay.port)
    with smtplib.SMTP('127.0.0.1', first.port, timeout=20) as s:
        for i in range(20):
            body = MESSAGE + 'x' * 900 * i + '\r\n'
            s.sendmail('a@client.example', ['b%d@dest.example' % i, 'c%d@dest.example' % i], body,
                       mail_options=['RET=HDRS', 'ENVID=e%d' % i], rcpt_options=['NOTIFY=FAILURE'])
    wait_for(lambda: sum(len(m.rcpt) for m in sink.messages) >= 40, 30)
    for m in sink.messages:
        assert 'RET=HDRS' in m.mail and 'NOTIFY=FAILURE' in m.rcpt[0], (m.mail, m.rcpt)
        assert b'by relay.test.example' in m.content and m.content.count(b'Received: ') == 3
    told = first.log() + second.log()
    assert 'warning' not in re.sub(r'.*(dict_|chroot|postconf|Illegal address|smtputf8|libraries).*', '', told), told


def test_open_relay_scan(make_relay, make_sink):
    """nmap's scan from an address that no rule serves finds no way through."""
    sink = make_sink()
    relay = make_relay('''route next {
	host 127.0.0.1:%d
}
accept from any to domain ours.example via next
''' % sink.port)
    out = run([need('nmap'), '-Pn', '-p', str(relay.port), '--script', 'smtp-open-relay', '--script-args',
               'smtp-open-relay.domain=nmap.example', '-sV', '--version-intensity', '0', '127.0.0.1'])
    assert 'is an open relay' not in out and not re.search(r'\|.*MAIL FROM', out), out
    assert not sink.messages
