#include "agent/pod/evict_open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"

#define PROCS_MAX     65536u
#define PROCS_BYTES   (1u << 20)
#define DELETED_WORDS " (deleted)"

/* Open addressing, 0 = free. */
static bool was_seen(struct evict_open_seen *s, uint64_t key)
{
    key = key == 0 ? 1 : key;
    if (s->count * 2 >= s->cap) {
        struct evict_open_seen larger = {.cap = s->cap == 0 ? 64 : s->cap * 2};
        larger.slots = xcalloc(larger.cap, sizeof *larger.slots);
        for (uint32_t i = 0; i < s->cap; i++) {
            if (s->slots[i] != 0) {
                was_seen(&larger, s->slots[i]);
            }
        }
        free(s->slots);
        *s = larger;
    }
    uint32_t at = (uint32_t)(key * 0x9e3779b97f4a7c15ull >> 32) & (s->cap - 1);
    while (s->slots[at] != 0 && s->slots[at] != key) {
        at = (at + 1) & (s->cap - 1);
    }
    if (s->slots[at] == key) {
        return true;
    }
    s->slots[at] = key;
    s->count++;
    return false;
}

/* link: /proc/PID/fd/N or /proc/PID/map_files/RANGE, which lead to the file itself, by whatever name. */
static void look_at(struct evict_open *o, const char *link)
{
    struct stat st;
    struct statfs fs;
    char path[FS_PATH_MAX];
    if (stat(link, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 0 || st.st_blocks == 0 ||
        (st.st_dev != o->disk && (statfs(link, &fs) != 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC)) ||
        was_seen(&o->seen, (uint64_t)st.st_ino ^ (uint64_t)st.st_dev << 40)) {
        return;
    }
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[MAX(n, 0)] = '\0';
    size_t words = strlen(DELETED_WORDS);
    if (n > (ssize_t)words && strcmp(path + n - words, DELETED_WORDS) == 0) {
        path[n - (ssize_t)words] = '\0';
    }
    o->found(path, (uint64_t)st.st_blocks * 512, o->data);
}

static void look_at_descriptors(struct evict_open *o, int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    for (struct dirent *e; o->left > 0 && d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            char link[64];
            snprintf(link, sizeof link, "/proc/%d/fd/%.20s", pid, e->d_name);
            o->left--;
            look_at(o, link);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

/* Lines "START-END rwxp OFFSET MAJOR:MINOR INODE PATH". What is mapped needs no descriptor. */
static void look_at_mappings(struct evict_open *o, int pid)
{
    char path[64], line[FS_PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *f = fopen(path, "re");
    while (o->left > 0 && f != NULL && fgets(line, sizeof line, f) != NULL) {
        unsigned long start, end;
        o->left--;
        if (strstr(line, DELETED_WORDS) != NULL && sscanf(line, "%lx-%lx", &start, &end) == 2) {
            char link[96];
            snprintf(link, sizeof link, "/proc/%d/map_files/%lx-%lx", pid, start, end);
            look_at(o, link);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

void evict_open_measure(struct evict_open *o, const char *procs)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    unsigned count = 0;
    if (fs_read_file(procs, PROCS_BYTES, &text, NULL) != 0) {
        return;
    }
    int *pids = xcalloc(PROCS_MAX, sizeof *pids);
    char *save = NULL;
    for (char *s = strtok_r((char *)buf_cstr(&text), "\n", &save); s != NULL && count < PROCS_MAX;
         s = strtok_r(NULL, "\n", &save)) {
        pids[count] = atoi(s);
        count += pids[count] > 0;
    }
    for (unsigned i = 0; i < count && o->left > 0; i++) {
        int pid = pids[(o->turn + i) % count];
        look_at_descriptors(o, pid);
        look_at_mappings(o, pid);
    }
    free(pids);
}

void evict_open_close(struct evict_open *o)
{
    free(o->seen.slots);
}
