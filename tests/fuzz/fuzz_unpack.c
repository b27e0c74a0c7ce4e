/* Archives that are unpacked: a layer of an image, on a node, and what a container sends to `rctl cp`. The first byte:
 * 0 a layer, 1 of cp, of a directory, 2 of cp, of whatever there is; then entries, from which the archive is made: a
 * byte for the type, one for the mode, a path, a link's target (a byte each for their parts, ended by NUL), and
 * contents up to the next NUL.
 *
 * Whatever is in it, nothing is made or changed outside of where it was asked for. Paths are made of few parts, so that
 * a fault would hurt nothing but the folder that all of it happens in. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/image/image_int.h"
#include "agent/util/fsutil.h"
#include "client/cmd/tarball.h"
#include "tests/fuzz/fuzz.h"

#define ENTRIES_MAX 24u
#define SECRET      "not to be touched"

/* ---- Where it happens ---- */

static char top[64];

static void remove_top(void)
{
    fs_remove_tree(top, NULL);
}

/* top/kept: a file that stays as it is; top/in: where things are unpacked, as top/in/d. */
static void prepare(void)
{
    if (top[0] == '\0') {
        snprintf(top, sizeof top, "%s/reeve-unpack-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        CHECK(mkdtemp(top) != NULL);
        atexit(remove_top);
        CLEANUP_FREE char *kept = xasprintf("%s/kept", top);
        FILE *f = fopen(kept, "we");
        CHECK(f != NULL && fputs(SECRET, f) >= 0 && fclose(f) == 0 && chmod(kept, 0600) == 0);
    }
    CLEANUP_FREE char *in = xasprintf("%s/in", top);
    CHECK(mkdir(in, 0755) == 0);
}

static unsigned count_names(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    closedir(d);
    return n;
}

static void check_outside(void)
{
    CLEANUP_FREE char *kept = xasprintf("%s/kept", top), *in = xasprintf("%s/in", top), *d = xasprintf("%s/in/d", top);
    char text[sizeof SECRET + 1] = "";
    struct stat st;
    FILE *f = fopen(kept, "re");
    CHECK(f != NULL && fread(text, 1, sizeof text - 1, f) == sizeof SECRET - 1 && fclose(f) == 0);
    CHECK(strcmp(text, SECRET) == 0 && lstat(kept, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1);
    CHECK(count_names(top) == 2);
    CHECK(count_names(in) == (lstat(d, &st) == 0 ? 1u : 0u));
    CHECK(fs_remove_tree(in, NULL) == 0);
}

/* ---- Archives ---- */

static void make_path(struct fuzz_input *f, struct buf *out)
{
    static const char *const parts[] = {
        "d",   "a",    "b",    "..", ".",    "/",     "//",           "./",    "../",          "/d/",
        "/a/", "/../", "kept", "in", ".wh.", ".wh.a", ".wh..wh..opq", ".wh.x", ".d.rctl-part", "/kept"};
    static char long_part[301];
    memset(long_part, 'l', sizeof long_part - 1);
    for (unsigned i = 0; i < 12; i++) {
        uint8_t b = fuzz_byte(f);
        if (b == 0) {
            return;
        }
        buf_puts(out, b == 255 ? long_part : parts[b % ARRAY_SIZE(parts)]);
    }
}

static void add_entry(struct fuzz_input *f, struct archive *a)
{
    static const mode_t types[] = {AE_IFREG, AE_IFDIR, AE_IFLNK, AE_IFREG /* a hard link */,
                                   AE_IFIFO, AE_IFCHR, AE_IFBLK, AE_IFREG};
    CLEANUP_BUF struct buf path = BUF_INIT, link = BUF_INIT;
    unsigned type = fuzz_byte(f) % 8u;
    mode_t mode = fuzz_byte(f);
    make_path(f, &path);
    make_path(f, &link);
    struct str text = fuzz_until(f, 0);
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, buf_cstr(&path));
    archive_entry_set_filetype(e, types[type]);
    archive_entry_set_perm(e, (mode & 0x7fu) | 0700u | (mode & 0x80u ? 04000u : 0u));
    if (type == 2) {
        archive_entry_set_symlink(e, buf_cstr(&link));
    } else if (type == 3) {
        archive_entry_set_hardlink(e, buf_cstr(&link));
    } else if (types[type] == AE_IFREG) {
        archive_entry_set_size(e, (la_int64_t)text.n);
    }
    if (archive_write_header(a, e) == ARCHIVE_OK && types[type] == AE_IFREG && type != 3) {
        archive_write_data(a, text.p, text.n);
    }
    archive_entry_free(e);
}

/* A file without a name, at its beginning. */
static int make_archive(struct fuzz_input *f)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);
    struct archive *a = archive_write_new();
    CHECK(fd >= 0);
    archive_write_set_format_pax_restricted(a);
    CHECK(archive_write_open_fd(a, fd) == ARCHIVE_OK);
    for (unsigned i = 0; i < ENTRIES_MAX && f->p < f->end; i++) {
        add_entry(f, a);
    }
    archive_write_free(a);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* ---- Unpacking ---- */

static void unpack_layer(int fd)
{
    CLEANUP_FREE char *from = xasprintf("/proc/self/fd/%d", fd), *to = xasprintf("%s/in/d", top);
    char diff[IMAGE_HEX_SIZE], again[IMAGE_HEX_SIZE];
    atomic_bool cancel = false;
    struct error err = {0};
    int rc = image_layer_unpack(from, NULL, NULL, to, diff, &cancel, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return;
    }
    CHECK(image_layer_diff(from, again, &err) == 0 && strcmp(diff, again) == 0);
}

static void on_skipped(const char *what, void *data)
{
    (void)data;
    CHECK(what != NULL);
}

static void unpack_copy(int fd, const char *name)
{
    CLEANUP_FREE char *to = xasprintf("%s/in/d", top);
    struct error err = {0};
    int rc = tarball_unpack(fd, to, name, on_skipped, NULL, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    uint8_t head = fuzz_byte(&f);
    prepare();
    CLEANUP_CLOSE int fd = make_archive(&f);
    if (head % 3 == 0) {
        unpack_layer(fd);
    } else {
        unpack_copy(fd, head % 3 == 1 ? "d" : ".");
    }
    check_outside();
    return 0;
}
