"""TLS reports (RFC 8460): what was counted on a day that is over goes, as a mail, to whom the domain names."""
import email, gzip, json, os, time

import pytest

import dns, internet
from relevo import wait_for

pytestmark = pytest.mark.skipif(not dns.available(), reason='nsd is not installed')

ZONE = ('there MX 10 mx.there\nmx.there A 127.0.77.1\n_smtp._tls.there TXT "v=TLSRPTv1; rua=mailto:reports@there.example"\n'
        'silent MX 10 mx.there\n')
REPORTS = 'tls_reports {\n\tfrom tls@client.example\n\torganization "Relay & Co"\n}\n'


def policy(domain):
    return {'policy': {'policy-type': 'no-policy-found', 'policy-domain': domain},
            'summary': {'total-successful-session-count': 5, 'total-failure-session-count': 0}}


def test_a_report_by_mail(make_relay, make_names, exchangers):
    port, (sink,) = exchangers(1)
    names = make_names('example', ZONE)
    relay = internet.mx_relay(make_relay, names, port, start=False, rules=REPORTS + internet.RULES)
    day = int(time.time()) // 86400 - 2
    folder = os.path.join(relay.state, 'tls-reports')
    os.makedirs(folder)
    with open(os.path.join(folder, str(day)), 'w') as f:
        json.dump({'%s.example no-policy-found %s.example' % (d, d): policy(d + '.example') for d in ('there', 'silent')}, f)
    relay.start()
    wait_for(lambda: sink.messages)
    assert sink.messages[0].rcpt[0].startswith('RCPT TO:<reports@there.example>')
    mail = email.message_from_bytes(sink.messages[0].content)
    assert mail.get_content_type() == 'multipart/report' and mail.get_param('report-type') == 'tlsrpt'
    assert mail['TLS-Report-Domain'] == 'there.example' and mail['TLS-Report-Submitter'] == 'relay.test.example'
    part = mail.get_payload()[1]
    assert part.get_content_type() == 'application/tlsrpt+gzip'
    report = json.loads(gzip.decompress(part.get_payload(decode=True)))
    assert report['organization-name'] == 'Relay & Co' and len(report['policies']) == 1
    assert report['policies'][0]['summary']['total-successful-session-count'] == 5
    wait_for(lambda: not os.listdir(folder))       # reported once
    assert len(sink.messages) == 1


def test_what_is_sent_is_counted(make_relay, make_names, exchangers):
    port, (sink,) = exchangers(1)
    names = make_names('example', ZONE)
    relay = internet.mx_relay(make_relay, names, port, rules=REPORTS + internet.RULES)
    internet.submit(relay, ['b@there.example'])
    wait_for(lambda: internet.got(sink))
    relay.stop()                                    # what was counted is saved at the end
    folder = os.path.join(relay.state, 'tls-reports')
    (day,) = os.listdir(folder)
    with open(os.path.join(folder, day)) as f:
        counted = json.load(f)
    (one,) = counted.values()
    assert one['summary']['total-failure-session-count'] == 1
    assert one['failure-details'][0]['result-type'] == 'starttls-not-supported'
