#include "agent/evict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/quantity.h"

/* ---- The decision ---- */

bool evict_is_disk(const struct podspec_volume *v)
{
    return v->kind == PODSPEC_VOLUME_EMPTY_DIR && !str_is(mp_str(mp_get(v->source, "medium")), "Memory");
}

/* Text and bytes; false if there is none. */
static bool size_limit(const struct podspec_volume *v, struct str *text, int64_t *bytes)
{
    *text = evict_is_disk(v) ? mp_str(mp_get(v->source, "sizeLimit")) : STR_NONE;
    return text->p != NULL && quantity_units(*text, bytes) && *bytes > 0;
}

bool evict_has_limits(const struct podspec *s)
{
    struct str text;
    int64_t bytes;
    bool any = false;
    for (unsigned i = 0; i < s->volumes_count; i++) {
        any = any || size_limit(&s->volumes[i], &text, &bytes);
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        any = any || s->containers[i].limits.ephemeral_bytes > 0;
    }
    return any;
}

bool evict_decide(const struct podspec *s, const struct evict_usage *u, char message[EVICT_MESSAGE_MAX])
{
    struct str text;
    int64_t bytes, limit = 0;
    uint64_t used = 0;
    for (unsigned i = 0; i < s->volumes_count; i++) {
        if (size_limit(&s->volumes[i], &text, &bytes) && u->volumes[i] > (uint64_t)bytes) {
            snprintf(message, EVICT_MESSAGE_MAX, "Usage of EmptyDir volume \"%s\" exceeds the limit \"%.*s\". ",
                     s->volumes[i].name, STR_ARG(text));
            return true;
        }
        used += evict_is_disk(&s->volumes[i]) ? u->volumes[i] : 0;
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        used += u->containers[i];
        limit += MIN(s->containers[i].limits.ephemeral_bytes, INT64_MAX / (2 * PODSPEC_CONTAINERS_MAX));
    }
    if (limit > 0 && used > (uint64_t)limit) {
        char whole[QUANTITY_SIZE];
        quantity_format_bytes(limit, whole);
        snprintf(message, EVICT_MESSAGE_MAX,
                 "Pod ephemeral local storage usage exceeds the total limit of containers %s. ", whole);
        return true;
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        const struct podspec_container *c = &s->containers[i];
        if (c->limits.ephemeral_bytes > 0 && u->containers[i] > (uint64_t)c->limits.ephemeral_bytes) {
            text = mp_str(mp_get(mp_path(c->raw, "resources.limits"), "ephemeral-storage"));
            snprintf(message, EVICT_MESSAGE_MAX, "Container %s exceeded its local ephemeral storage limit \"%.*s\". ",
                     c->name, STR_ARG(text));
            return true;
        }
    }
    return false;
}

/* ---- Measuring ---- */

#define DEPTH_MAX 256u /* descriptors held open at once */

struct seen { /* inodes with several names: open addressing, 0 = free */
    ino_t *slots;
    size_t count, cap;
};

static bool was_seen(struct seen *s, ino_t ino)
{
    if (s->count * 2 >= s->cap) {
        struct seen larger = {.cap = s->cap == 0 ? 64 : s->cap * 2};
        larger.slots = xcalloc(larger.cap, sizeof *larger.slots);
        for (size_t i = 0; i < s->cap; i++) {
            if (s->slots[i] != 0) {
                was_seen(&larger, s->slots[i]);
            }
        }
        free(s->slots);
        *s = larger;
    }
    size_t at = (size_t)ino * 0x9e3779b97f4a7c15ull >> 16 & (s->cap - 1);
    while (s->slots[at] != 0 && s->slots[at] != ino) {
        at = (at + 1) & (s->cap - 1);
    }
    if (s->slots[at] == ino) {
        return true;
    }
    s->slots[at] = ino;
    s->count++;
    return false;
}

static uint64_t measure_dir(int fd, dev_t dev, unsigned depth, struct seen *seen)
{
    DIR *d = fdopendir(fd);
    uint64_t bytes = 0;
    if (d == NULL) {
        close(fd);
        return 0;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_dev != dev ||
            (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && was_seen(seen, st.st_ino))) {
            continue;
        }
        bytes += (uint64_t)st.st_blocks * 512;
        int sub = S_ISDIR(st.st_mode) && depth < DEPTH_MAX
                      ? openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                      : -1;
        bytes += sub < 0 ? 0 : measure_dir(sub, dev, depth + 1, seen);
    }
    closedir(d);
    return bytes;
}

uint64_t evict_measure(const char *path)
{
    struct stat st;
    struct seen seen = {0};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    uint64_t bytes = measure_dir(fd, st.st_dev, 0, &seen);
    free(seen.slots);
    return bytes;
}
