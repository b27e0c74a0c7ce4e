#include "master/zones.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strmap.h"

struct kept {
    char name[ZONE_NAME_MAX + 1];
    struct zone *zone;
    struct timespec changed; /* of the file, */
    off_t size;              /* that it was read from */
    ino_t inode;
};
struct zones {
    char *directory;
    struct strmap by_name; /* struct kept */
    struct kept kept[ZONES_MAX];
    unsigned next; /* place of the next new one */
};

struct zones *zones_new(const char *directory)
{
    struct zones *z = xcalloc(1, sizeof *z);
    z->directory = xstrdup(directory);
    strmap_init(&z->by_name);
    return z;
}

void zones_free(struct zones *z)
{
    if (z == NULL) {
        return;
    }
    for (unsigned i = 0; i < ZONES_MAX; i++) {
        zone_free(z->kept[i].zone);
    }
    strmap_close(&z->by_name);
    free(z->directory);
    free(z);
}

static struct zone *file_read(int fd, struct error *err)
{
    CLEANUP_FREE uint8_t *bytes = xmalloc(ZONE_FILE_MAX + 1);
    size_t size = 0;
    for (;;) {
        ssize_t n = read(fd, bytes + size, ZONE_FILE_MAX + 1 - size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            error_set_errno(err, errno, "read it");
            return NULL;
        }
        size += (size_t)n;
        if (n == 0 || size > ZONE_FILE_MAX) {
            return zone_from_file(bytes, size, err);
        }
    }
}

static bool is_same(const struct kept *k, const struct stat *st)
{
    return k->changed.tv_sec == st->st_mtim.tv_sec && k->changed.tv_nsec == st->st_mtim.tv_nsec &&
           k->size == st->st_size && k->inode == st->st_ino;
}

static struct kept *place_take(struct zones *z, struct str name)
{
    struct kept *k = &z->kept[z->next];
    z->next = (z->next + 1) % ZONES_MAX;
    if (k->zone != NULL) {
        strmap_remove(&z->by_name, str_of(k->name));
        zone_free(k->zone);
        k->zone = NULL;
    }
    memcpy(k->name, name.p, name.n);
    k->name[name.n] = '\0';
    strmap_set(&z->by_name, str_of(k->name), k);
    return k;
}

const struct zone *zones_get(struct zones *z, struct str name, struct error *err)
{
    struct stat st;
    if (!zone_name_is(name)) {
        error_set(err, ERR_NOT_FOUND, "unknown time zone %.*s", STR_ARG(name));
        return NULL;
    }
    CLEANUP_FREE char *path = xasprintf("%s/%.*s", z->directory, STR_ARG(name));
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        error_set(err, ERR_NOT_FOUND, "unknown time zone %.*s", STR_ARG(name));
        return NULL;
    }
    struct kept *k = strmap_get(&z->by_name, name);
    if (k != NULL && is_same(k, &st)) {
        return k->zone;
    }
    struct zone *zone = file_read(fd, err);
    if (zone == NULL) {
        error_wrap(err, "time zone %.*s", STR_ARG(name));
        return NULL;
    }
    k = k != NULL ? k : place_take(z, name);
    zone_free(k->zone);
    *k = (struct kept){.zone = zone, .changed = st.st_mtim, .size = st.st_size, .inode = st.st_ino};
    memcpy(k->name, name.p, name.n);
    return zone;
}
