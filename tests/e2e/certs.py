"""Certificates for the tests, made by the openssl command: an authority, servers, clients.

    ca = Authority(tmp_path)
    server = ca.issue('relay.example', names=['relay.example', '127.0.0.1'])
    client = ca.issue('client.example', client=True)
    server.certificate, server.key    # paths of PEM files; ca.certificate: the authority's
    server.fingerprint                # SHA-256, hex, lower case
    server.spki_sha256                # for TLSA 3 1 1

Keys are P-256 unless kind='rsa:2048'. days < 0: it has expired already. chained=True of an authority issues by an
intermediate one, whose certificate stands in the servers' files.
"""
import hashlib, os, re, subprocess


def openssl(*args, input=None):
    r = subprocess.run(('openssl',) + args, capture_output=True, input=input, timeout=60)
    assert r.returncode == 0, (args, r.stderr.decode(errors='replace'))
    return r.stdout


def alternative_names(names):
    """subjectAltName of host names, addresses and e-mail addresses."""
    kinds = []
    for n in names:
        kind = 'email' if '@' in n else 'IP' if re.fullmatch(r'[0-9.]+|[0-9a-f:]*:[0-9a-f:]*', n) else 'DNS'
        kinds.append('%s:%s' % (kind, n))
    return ','.join(kinds)


class Identity:
    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    @property
    def fingerprint(self):
        return hashlib.sha256(openssl('x509', '-in', self.certificate, '-outform', 'DER')).hexdigest()

    @property
    def spki(self):
        """The public key (SubjectPublicKeyInfo) in DER."""
        pem = openssl('x509', '-in', self.certificate, '-noout', '-pubkey')
        return openssl('pkey', '-pubin', '-outform', 'DER', input=pem)

    @property
    def spki_sha256(self):
        return hashlib.sha256(self.spki).hexdigest()

    def read(self):
        with open(self.certificate) as f:
            return f.read()


def make_key(path, kind):
    if kind.startswith('rsa'):
        openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:' + kind.partition(':')[2], '-out', path)
    else:
        openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', path)
    os.chmod(path, 0o640)


class Authority(Identity):
    serial = 0

    def __init__(self, folder, name='Test Authority', chained=False):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        base = os.path.join(self.folder, re.sub(r'\W', '-', name.lower()))
        super().__init__(base + '.pem', base + '.key')
        make_key(self.key, 'ec')
        openssl('req', '-x509', '-new', '-key', self.key, '-sha256', '-days', '120', '-subj', '/CN=' + name,
                '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
                '-out', self.certificate)
        self.issuer, self.chain = self, ''
        if chained:
            self.issuer = self.issue(name + ' Intermediate', authority=True)
            self.chain = self.issuer.read()

    def issue(self, name, names=None, client=False, days=90, kind='ec', authority=False, file=None):
        """An Identity; its file holds the chain. names: for subjectAltName; default: name."""
        Authority.serial += 1
        base = os.path.join(self.folder, file or '%s-%d' % (re.sub(r'[^\w.]', '-', name.lower()), Authority.serial))
        made = Identity(base + '.pem', base + '.key')
        make_key(made.key, kind)
        request = openssl('req', '-new', '-key', made.key, '-subj', '/CN=' + name)
        if authority:
            lines = ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=critical,keyCertSign']
        else:
            lines = ['basicConstraints=CA:FALSE', 'extendedKeyUsage=' + ('clientAuth' if client else 'serverAuth'),
                     'subjectAltName=' + alternative_names(names or [name])]
        with open(base + '.ext', 'w') as f:
            f.write('\n'.join(lines) + '\n')
        pem = openssl('x509', '-req', '-CA', self.issuer.certificate, '-CAkey', self.issuer.key, '-sha256',
                      '-set_serial', str(1000 + Authority.serial), '-extfile', base + '.ext', '-days', str(days), input=request)
        os.unlink(base + '.ext')
        with open(made.certificate, 'wb') as f:
            f.write(pem + self.chain.encode())
        return made
