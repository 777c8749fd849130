"""File systems made for one test: small ones, ones that can be cut from power, ones that fail; and the shim.

All need root and loop devices or mount: NotHere says what is missing, and the test is skipped with that word. What was mounted is
unmounted again, by whoever made it.
"""
import fcntl, os, shutil, subprocess, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878       # linux/fs.h
EXT4_IOC_SHUTDOWN = 0x8004587D                  # fs/ext4/ext4.h
GOING_DOWN = bytes(4)                            # its gentlest way, see shut_down


class NotHere(Exception):
    """This machine cannot do it."""


def command(*words):
    p = subprocess.run(words, capture_output=True, text=True)
    if p.returncode:
        raise OSError('%s: %s' % (' '.join(words), (p.stderr or p.stdout).strip()))
    return p.stdout.strip()


def shim(folder):
    """The library for LD_PRELOAD, compiled into folder."""
    path = os.path.join(folder, 'shim.so')
    if not shutil.which('cc'):
        raise NotHere('no C compiler for the shim')
    command('cc', '-shared', '-fPIC', '-O1', '-o', path, os.path.join(HERE, 'shim.c'))
    return path


def shim_env(library, switch):
    """For a relay that runs with the shim; a sanitizer wants to be the first library."""
    options = os.environ.get('ASAN_OPTIONS', '')
    return {'LD_PRELOAD': library, 'RELEVO_SHIM': switch, 'ASAN_OPTIONS': options + ':verify_asan_link_order=0'}


class Tmpfs:
    def __init__(self, size, at):
        self.at = at
        if os.geteuid() != 0:
            raise NotHere('mounting needs root')
        try:
            command('mount', '-t', 'tmpfs', '-o', 'size=%d' % size, 'relevo-test', at)
        except OSError as e:
            raise NotHere('no tmpfs can be mounted: %s' % e)

    def close(self):
        subprocess.run(['umount', '-l', self.at], capture_output=True)


class Ext4:
    """An ext4 in a file, on a loop device with direct I/O: what the file holds is what the device was told."""

    def __init__(self, size, at, image, options='defaults'):
        self.image, self.at, self.options, self.device = image, at, options, None
        if os.geteuid() != 0:
            raise NotHere('loop mounts need root')
        if not shutil.which('mkfs.ext4'):
            raise NotHere('mkfs.ext4 is missing')
        with open(image, 'wb') as f:            # written once, so that later writes allocate nothing
            for _ in range(0, size, 1 << 20):
                f.write(bytes(1 << 20))
            os.fsync(f.fileno())
        try:
            command('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image)
            self.mount()
        except OSError as e:
            self.close()
            raise NotHere('no image can be mounted: %s' % e)

    def mount(self):
        self.device = command('losetup', '--find', '--show', '--direct-io=on', self.image)
        command('mount', '-t', 'ext4', '-o', self.options, self.device, self.at)

    def unmount(self):
        if not self.device:
            return
        if os.path.ismount(self.at):
            command('umount', self.at)
        command('losetup', '-d', self.device)
        self.device = None

    def shut_down(self):
        """
        Every call fails with EIO from now on. Not by EXT4_GOING_FLAGS_NOLOGFLUSH, which stops in the midst of things: it was seen
        (Linux 6.18) that an fdatasync under way then returns 0 and its octets are gone.
        """
        fd = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, GOING_DOWN)
        finally:
            os.close(fd)

    def make_read_only(self):
        """As after an error in its metadata: needs the option errors=remount-ro."""
        with open('/sys/fs/ext4/%s/trigger_fs_error' % os.path.basename(self.device), 'w') as f:
            f.write('relevo-test')

    def close(self):
        try:
            self.unmount()
        except OSError:
            subprocess.run(['umount', '-l', self.at], capture_output=True)
            if self.device:
                subprocess.run(['losetup', '-d', self.device], capture_output=True)


class Powered:
    """
    An ext4 whose power can be cut. Its image is a file in another ext4, which is frozen for the moment of the cut: a
    frozen file system takes no more writes, so the image holds what had reached the device by then, and nothing later. What
    was only in the page cache of the upper one is not there. (The device is one without a cache of its own: a
    barrier that the file system forgets would not show.)
    """

    def __init__(self, size):
        self.folder = tempfile.mkdtemp(prefix='relevo-power-')
        self.below, self.at = os.path.join(self.folder, 'below'), os.path.join(self.folder, 'disk')
        os.mkdir(self.below)
        os.mkdir(self.at)
        self.outer = self.inner = None
        try:
            self.outer = Ext4(size * 2, self.below, os.path.join(self.folder, 'outer.img'))
            self.inner = Ext4(size, self.at, os.path.join(self.below, 'inner.img'))
        except NotHere:
            self.close()
            raise

    def photograph(self, frozen=lambda: None):
        """The image as it is at one instant; frozen() is called at that instant."""
        fd = os.open(self.below, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FIFREEZE, 0)
            try:
                frozen()
                with open(self.inner.image, 'rb') as f:
                    return f.read()
            finally:
                fcntl.ioctl(fd, FITHAW, 0)
        finally:
            os.close(fd)

    def power_on(self, image):
        """Puts a photograph in place of the disk, whose users are gone."""
        self.inner.unmount()
        with open(self.inner.image, 'r+b') as f:
            f.write(image)
            os.fsync(f.fileno())
        self.inner.mount()

    def close(self):
        for disk in (self.inner, self.outer):
            if disk:
                disk.close()
        shutil.rmtree(self.folder, ignore_errors=True)
