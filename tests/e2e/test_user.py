"""relevo user: the users file made and changed by commands, with comments, modes and rivals."""
import concurrent.futures, os, pty, re, stat, subprocess, time

import pytest

from relevo import BINARY, PATIENCE


def user(path, *args, password=None, **kw):
    words = [BINARY, 'user', *args, '-f', str(path)]
    if password is not None:
        words.append('--password-stdin')
    return subprocess.run(words, input='' if password is None else password + '\n', capture_output=True, text=True,
                          timeout=60 * PATIENCE, **kw)


def words(path, name):
    for line in path.read_text().splitlines():
        if line.split()[:1] == [name]:
            return line.split()
    return None


def test_life_of_a_user(tmp_path):
    f = tmp_path / 'users'
    r = user(f, 'add', 'anna@example.org', password='sesame street')
    assert r.returncode == 0, r.stderr
    w = words(f, 'anna@example.org')
    assert w[1].startswith('$y$') and w[2].startswith('SCRAM-SHA-256$100000:') and len(w) == 3
    assert 'sesame' not in f.read_text()
    assert not f.stat().st_mode & 0o007
    r = user(f, 'add', 'ANNA@example.org', password='x')
    assert r.returncode == 1 and 'already' in r.stderr
    before = words(f, 'anna@example.org')
    assert user(f, 'passwd', 'Anna@example.org', password='other').returncode == 0
    after = words(f, 'anna@example.org')
    assert after[1] != before[1] and after[2] != before[2]
    assert user(f, 'disable', 'anna@example.org').returncode == 0
    assert words(f, 'anna@example.org')[3:] == ['disabled']
    assert user(f, 'disable', 'anna@example.org').returncode == 0
    assert words(f, 'anna@example.org')[3:] == ['disabled']
    # a new password does not enable
    assert user(f, 'passwd', 'anna@example.org', password='third').returncode == 0
    assert words(f, 'anna@example.org')[3:] == ['disabled']
    assert user(f, 'enable', 'anna@example.org').returncode == 0
    assert words(f, 'anna@example.org')[3:] == []
    assert user(f, 'allow', 'anna@example.org', 'a@b.example', '.c.example', '*').returncode == 0
    assert words(f, 'anna@example.org')[3:] == ['from', 'a@b.example', '.c.example', '*']
    r = user(f, 'list')
    assert r.returncode == 0
    assert re.search(r'^anna@example\.org +enabled +password,scram +a@b\.example \.c\.example \*$', r.stdout, re.M), r.stdout
    assert user(f, 'allow', 'anna@example.org', '--own').returncode == 0
    assert words(f, 'anna@example.org')[3:] == []
    assert user(f, 'remove', 'anna@example.org').returncode == 0
    assert f.read_text() == ''
    assert user(f, 'remove', 'anna@example.org').returncode == 1


def test_password_is_the_one_given(tmp_path):
    """The hash is checked by libcrypt itself, as every other program would."""
    crypt = pytest.importorskip('crypt')
    f = tmp_path / 'users'
    assert user(f, 'add', 'anna', password='sés@me #1').returncode == 0
    h = words(f, 'anna')[1]
    assert crypt.crypt('sés@me #1', h) == h
    assert crypt.crypt('sés@me #2', h) != h


def test_comments_and_blank_lines_stay(tmp_path):
    f = tmp_path / 'users'
    assert user(f, 'add', 'a', password='x').returncode == 0
    assert user(f, 'add', 'b', 'b@example.org', password='x').returncode == 0
    a, b = f.read_text().splitlines()
    f.write_text('# people\n\n%s\n  # machines\n\n\n%s' % (a, b))
    assert user(f, 'disable', 'a').returncode == 0
    assert f.read_text() == '# people\n\n%s disabled\n  # machines\n\n\n%s' % (a, b)
    assert user(f, 'remove', 'a').returncode == 0
    assert user(f, 'add', 'c', password='x').returncode == 0
    lines = f.read_text().split('\n')
    assert lines[:6] == ['# people', '', '  # machines', '', '', b] and lines[6].startswith('c $y$') and lines[7:] == ['']


def test_options(tmp_path):
    f = tmp_path / 'users'
    assert user(f, 'add', 'old', '--scram-sha-1', password='x').returncode == 0
    assert [x.split('$')[0] for x in words(f, 'old')[2:]] == ['SCRAM-SHA-256', 'SCRAM-SHA-1']
    # who has one gets a new one
    before = words(f, 'old')[3]
    assert user(f, 'passwd', 'old', password='y').returncode == 0
    assert words(f, 'old')[3].startswith('SCRAM-SHA-1$') and words(f, 'old')[3] != before
    assert user(f, 'passwd', 'old', '--no-scram', password='y').returncode == 0
    assert len(words(f, 'old')) == 2
    r = user(f, 'add', 'printer', password='x')
    assert 'not send as anybody' in r.stdout


@pytest.mark.parametrize('args, code', [
    ([], 2), (['nonsense', 'x'], 2), (['add'], 2), (['disable', 'a', 'b'], 2), (['disable', 'a', '--password-stdin'], 2),
    (['add', 'a', '--scram-sha-1', '--no-scram'], 2), (['list', 'a'], 2), (['remove', 'a', '--own'], 2),
    (['allow', 'there'], 1), (['allow', 'there', '--own', 'x.example'], 1), (['disable', 'absent'], 1),
    (['allow', 'there', '10.0.0.0/8'], 1), (['allow', 'there', 'a@b@'], 1), (['allow', 'there', 'a\nroot $y$x'], 1)])
def test_wrong_usage(tmp_path, args, code):
    f = tmp_path / 'users'
    assert user(f, 'add', 'there', password='x').returncode == 0
    before = f.read_text()
    r = user(f, *args)
    assert r.returncode == code and r.stderr, r.stdout + r.stderr
    assert f.read_text() == before
    assert os.listdir(tmp_path) == ['users']


@pytest.mark.parametrize('name', ['', 'a b', '#a', 'a\tb', 'a\nb', 'x' * 256, 'a\x7f'])
def test_bad_names(tmp_path, name):
    r = user(tmp_path / 'users', 'add', name, password='x')
    assert r.returncode == 1 and 'name' in r.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('password', ['', 'x' * 1025, 'a\tb', 'a\0b', 'a\x7fb'])
def test_bad_passwords(tmp_path, password):
    r = user(tmp_path / 'users', 'add', 'a', password=password)
    assert r.returncode == 1 and 'password' in r.stderr
    assert os.listdir(tmp_path) == []


def test_broken_and_absent_files(tmp_path):
    f = tmp_path / 'users'
    assert 'No such file' in user(f, 'list').stderr
    assert user(f, 'disable', 'a').returncode == 1
    f.write_text('anna secret\n')
    r = user(f, 'add', 'b', password='x')
    assert r.returncode == 1 and 'users:1: ' in r.stderr and f.read_text() == 'anna secret\n'
    assert user(tmp_path, 'list').returncode == 1
    assert user(tmp_path / 'no' / 'users', 'add', 'a', password='x').returncode == 1


def test_mode_owner_and_links_stay(tmp_path):
    (tmp_path / 'real').mkdir()
    f = tmp_path / 'real' / 'users'
    assert user(f, 'add', 'a', password='x').returncode == 0
    f.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(f, 12, 34)
    link = tmp_path / 'users'
    link.symlink_to('real/users')
    inode = f.stat().st_ino
    assert user(link, 'disable', 'a').returncode == 0
    assert link.is_symlink() and f.stat().st_ino != inode
    assert stat.S_IMODE(f.stat().st_mode) == 0o640
    if os.geteuid() == 0:
        assert (f.stat().st_uid, f.stat().st_gid) == (12, 34)
    assert os.listdir(tmp_path / 'real') == ['users']


def test_rivals(tmp_path):
    """Twelve commands at once: none undoes another's work."""
    f = tmp_path / 'users'
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: user(f, 'add', 'u%d' % i, password='x'), range(12)))
    assert all(r.returncode == 0 for r in results), [r.stderr for r in results]
    assert sorted(line.split()[0] for line in f.read_text().splitlines()) == sorted('u%d' % i for i in range(12))


def at_terminal(f, *answers):
    """Runs "add" with a terminal of its own; returns (exit code, what the terminal showed)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(BINARY, [BINARY, 'user', 'add', 'anna', '-f', str(f)])
    shown = b''
    for answer in answers:
        end = time.monotonic() + 20 * PATIENCE
        want = shown.count(b': ') + 1
        while shown.count(b': ') < want and time.monotonic() < end:
            shown += os.read(fd, 1024)
        time.sleep(0.3)     # the prompt comes before the echo is turned off
        os.write(fd, answer + b'\n')
    try:
        while True:
            more = os.read(fd, 1024)
            if not more:
                break
            shown += more
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_terminal(tmp_path):
    f = tmp_path / 'users'
    code, shown = at_terminal(f, b'sesame', b'sesame')
    assert code == 0 and 'sesame' not in shown and words(f, 'anna'), shown
    code, shown = at_terminal(tmp_path / 'other', b'sesame', b'sesane')
    assert code == 1 and 'not the same' in shown and not (tmp_path / 'other').exists()


def test_no_terminal(tmp_path):
    r = user(tmp_path / 'users', 'add', 'a', start_new_session=True)
    assert r.returncode == 1 and '--password-stdin' in r.stderr
