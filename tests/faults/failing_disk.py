"""A disk that fails on order, under a real process: a library that is loaded before libc and refuses to write.

disk = build_failing_disk(folder)
async with serving({**env, **disk.env}, folder):
    disk.fails("fsync")
    ...
    disk.works()
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.lacking import lacking

Failure = Literal["fsync", "full", "readonly"]

# Files of the database alone (its name is in their path): the log still goes out, and Python still loads modules.
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char order(void) {
    static int (*real_open)(const char *, int, ...);
    if (!real_open) real_open = dlsym(RTLD_NEXT, "open");
    const char *name = getenv("FAILING_DISK");
    char first = 0;
    int file = name ? real_open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (read(file, &first, 1) != 1) first = 0;
        close(file);
    }
    return first;
}

static int ours(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "resetsvc.db") != 0;
}

static int refused(int file) {
    int saved = errno;
    char what = ours(file) ? order() : 0;
    errno = what == 'f' ? ENOSPC : what == 'r' ? EROFS : saved;
    return what == 'f' || what == 'r';
}

static int no_sync(int file) {
    int saved = errno;
    char what = ours(file) ? order() : 0;
    errno = what == 's' ? EIO : saved;
    return what == 's';
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)
ssize_t write(int f, const void *b, size_t n) { REAL(write); return refused(f) ? -1 : real(f, b, n); }
ssize_t pwrite(int f, const void *b, size_t n, off_t o) { REAL(pwrite); return refused(f) ? -1 : real(f, b, n, o); }
ssize_t pwrite64(int f, const void *b, size_t n, off64_t o) { REAL(pwrite64); return refused(f) ? -1 : real(f, b, n, o); }
int ftruncate(int f, off_t n) { REAL(ftruncate); return refused(f) ? -1 : real(f, n); }
int ftruncate64(int f, off64_t n) { REAL(ftruncate64); return refused(f) ? -1 : real(f, n); }
int fsync(int f) { REAL(fsync); return no_sync(f) ? -1 : real(f); }
int fdatasync(int f) { REAL(fdatasync); return no_sync(f) ? -1 : real(f); }

#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
    static int (*real)(const char *, int, ...); if (!real) real = dlsym(RTLD_NEXT, #name); \
    if ((flags & (O_WRONLY | O_RDWR)) && strstr(path, "resetsvc.db") && order() == 'r') { errno = EROFS; return -1; } \
    return real(path, flags, mode); }
OPEN(open)
OPEN(open64)
"""


@dataclass(frozen=True, slots=True)
class FailingDisk:
    library: Path
    order: Path

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "FAILING_DISK": str(self.order)}

    def fails(self, how: Failure) -> None:
        """From now on: `fsync` says EIO; no room is left; or the file system has become read-only."""
        written = self.order.with_suffix(".new")
        written.write_text({"fsync": "s", "full": "f", "readonly": "r"}[how])
        written.rename(self.order)

    def works(self) -> None:
        self.order.unlink()


def build_failing_disk(folder: Path) -> FailingDisk:
    with_what = shutil.which("gcc") or shutil.which("cc")
    if with_what is None:
        lacking(
            "a disk that fails on order is built by a C compiler: install the Debian packages gcc and libc6-dev"
        )
    source, library = folder / "failing_disk.c", folder / "failing_disk.so"
    source.write_text(_SOURCE)
    subprocess.run(
        [with_what, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return FailingDisk(library, folder / "order")
