"""TLS and logins towards next hops: what each `tls` of a route makes of each kind of server."""
import base64, pathlib

import pytest

import certs
from relevo import free_port, wait_for

ROUTE = '''queue { retry 1s }
resolver 127.0.0.1:1 { hosts %s }
route next {
	host mx.there.example:%d
	idle 1s
	tls %s
%s}
accept from local to any via next
'''


@pytest.fixture
def hosts(tmp_path):
    path = tmp_path / 'hosts'
    path.write_text('127.0.0.1 mx.there.example other.there.example\n')
    return path


@pytest.fixture
def authority(tmp_path):
    return certs.Authority(tmp_path / 'ca')


def relay_for(make_relay, hosts, port, use, more=''):
    relay = make_relay('', start=False)
    names = pathlib.Path(relay.folder, 'hosts')     # the sandbox reaches what the configuration names
    names.write_text(hosts.read_text())
    relay.configure(ROUTE % (names, port, use, more))
    relay.start()
    return relay


def submit(relay, sender='a@client.example', params=''):
    c = relay.client()
    c.hello()
    code, text = c.mail(b'Subject: x\r\n\r\nbody\r\n', sender=sender, params=params)
    c.close()
    return code, text


def test_what_is_offered_is_used(make_relay, make_sink, hosts, authority):
    sink = make_sink(identity=authority.issue('someone.else'))
    relay = relay_for(make_relay, hosts, sink.port, 'offered')
    assert submit(relay)[0] == 250
    wait_for(lambda: sink.messages)
    assert sink.handshakes == ['mx.there.example']
    assert relay.wait_event('relayed')[0]['tls'].split()[0] == 'TLSv1.3'
    assert relay.wait_event('secured')[0]['verified'] == 'none'


def test_required_waits_for_a_server_without(make_relay, make_sink, hosts):
    sink = make_sink()
    relay = relay_for(make_relay, hosts, sink.port, 'required')
    assert submit(relay)[0] == 250
    wait_for(lambda: 'does not offer it' in relay.text())
    assert not sink.messages and not [c for c in sink.commands if c.startswith('MAIL')]


@pytest.mark.parametrize('name, arrives', [('mx.there.example', True), ('other.there.example', False)])
def test_verified_looks_at_the_name(make_relay, make_sink, hosts, authority, name, arrives):
    sink = make_sink(identity=authority.issue(name))
    relay = relay_for(make_relay, hosts, sink.port, 'verified ca %s' % authority.certificate)
    assert submit(relay)[0] == 250
    if arrives:
        wait_for(lambda: sink.messages)
        assert relay.wait_event('secured')[0]['verified'] == 'pkix'
    else:
        wait_for(lambda: 'certificate is not what is demanded' in relay.text())
        assert not sink.messages


def test_implicit(make_relay, make_sink, hosts, authority):
    sink = make_sink(identity=authority.issue('mx.there.example'), implicit=True)
    relay = relay_for(make_relay, hosts, sink.port, 'implicit')
    assert submit(relay)[0] == 250
    wait_for(lambda: sink.messages)


def test_text_behind_the_answer_to_starttls_is_refused(make_relay, make_sink, hosts, authority):
    def script(stage, argument, session):
        return b'220 go on\r\n250-injected\r\n250 AUTH PLAIN\r\n' if stage == 'starttls' else None
    sink = make_sink(script, identity=authority.issue('mx.there.example'))
    relay = relay_for(make_relay, hosts, sink.port, 'offered')
    assert submit(relay)[0] == 250
    wait_for(lambda: 'plain text came behind the answer to STARTTLS' in relay.text())
    assert not sink.messages


def test_what_was_offered_before_tls_is_forgotten(make_relay, make_sink, hosts, authority):
    sink = make_sink(identity=authority.issue('mx.there.example'), offers=('SIZE 10', 'PIPELINING'), offers_tls=('8BITMIME',))
    relay = relay_for(make_relay, hosts, sink.port, 'offered')
    assert submit(relay)[0] == 250
    wait_for(lambda: sink.messages)      # 10 octets would have been too few
    assert 'SIZE' not in sink.messages[0].mail


def test_broken_tls_is_left_out_once(make_relay, make_sink, hosts, authority):
    sink = make_sink(lambda stage, *a: 'CUT' if stage == 'starttls' else None, identity=authority.issue('mx.there.example'))
    relay = relay_for(make_relay, hosts, sink.port, 'offered')
    assert submit(relay)[0] == 250
    wait_for(lambda: sink.messages)
    assert sink.sessions == 2 and relay.wait_event('tls-failed')[0]['then'] == 'plain'


def test_postfix_takes_tls(make_relay, make_postfix, hosts, authority):
    identity = authority.issue('mx.there.example')
    postfix = make_postfix(domains=('dest.example',),
                           more='smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\n'
                                'smtpd_tls_loglevel = 1\n' % (identity.certificate, identity.key))
    relay = relay_for(make_relay, hosts, postfix.port, 'verified ca %s' % authority.certificate)
    assert submit(relay)[0] == 250
    wait_for(lambda: postfix.delivered() == ['b@dest.example'], 20)
    assert 'TLS connection established from' in postfix.log()


# ---- logins
class Door:
    """AUTH PLAIN for those in `users`; notes who came in for each message."""

    def __init__(self, users):
        self.users, self.came = users, []

    def __call__(self, stage, argument, session):
        if stage == 'other' and argument.startswith('AUTH PLAIN '):
            _, user, password = base64.b64decode(argument.split()[2]).decode().split('\0')
            if self.users.get(user) != password:
                return '535 5.7.8 wrong'
            session['user'] = user
            return '235 2.7.0 welcome'
        if stage == 'mail':
            if 'user' not in session:
                return '530 5.7.0 log in first'
            self.came.append((session['user'], argument.split('<')[1].split('>')[0]))
        return None


LOGINS = '''queue { retry 1s }
secrets %(folder)s/secrets
resolver 127.0.0.1:1 { hosts %(folder)s/hosts }
route next {
	host mx.there.example:%(port)d
	tls verified ca %(ca)s
	login first secret one
}
accept from local sender second@client.example to any via next {
	login second secret two
}
accept from local to any via next
'''


def test_credentials_by_sender(make_relay, make_sink, hosts, authority):
    door = Door({'first': 'sesame', 'second': 'open'})
    sink = make_sink(door, identity=authority.issue('mx.there.example'), offers_tls=('AUTH PLAIN',))
    relay = make_relay('', start=False)
    folder = pathlib.Path(relay.folder)
    (folder / 'hosts').write_text(hosts.read_text())
    (folder / 'secrets').mkdir()
    for name, secret in (('one', 'sesame'), ('two', 'open')):
        (folder / 'secrets' / name).write_text(secret + '\n')
        (folder / 'secrets' / name).chmod(0o600)
    relay.configure(LOGINS % {'folder': folder, 'port': sink.port, 'ca': authority.certificate})
    relay.start()
    for sender in ('a@client.example', 'second@client.example', 'a@client.example', 'second@client.example'):
        assert submit(relay, sender)[0] == 250
    wait_for(lambda: len(sink.messages) == 4)
    assert sorted(door.came) == [('first', 'a@client.example')] * 2 + [('second', 'second@client.example')] * 2
    # a wrong password bounces nothing: the mail waits, and goes when it is put right
    door.users['first'] = 'swordfish'
    relay.command('reload')     # whoever is logged in by now is not asked again
    assert submit(relay)[0] == 250
    wait_for(lambda: 'the login at a next hop failed' in relay.text())
    assert not relay.events('bounced')
    (folder / 'secrets' / 'one').write_text('swordfish\n')
    wait_for(lambda: len(sink.messages) == 5, 30)
    for secret in ('sesame', 'swordfish'):
        assert secret not in relay.text()
