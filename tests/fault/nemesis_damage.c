/* Damage to what lies on the disks of a minority, while the process is down: bits that turned, files that were cut
 * short or are gone, a whole directory of Raft's that is gone. Claimed: it is noticed, put aside, and the master comes
 * back by itself, as another one who never promised anything. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fault/kit.h"
#include "tests/fault/nemeses.h"

#define FILES_MAX 200u
#define BACK_MS   60000

static const char *raft_dir(struct trial *t, unsigned i)
{
    return arena_printf(&t->cluster.arena, "%s/raft", cluster_member_dir(&t->cluster, i));
}

/* ---- Files ---- */

/* A file of the directory by chance, of a kind by chance: segments are many, but metadata and snapshots must be hit
 * as well. */
static const char *pick_file(struct trial *t, const char *dir)
{
    static const char *const kinds[] = {"open-", "0000", "snapshot-", "state-", "metadata"};
    const char *found[FILES_MAX];
    for (unsigned tries = 0; tries < 20; tries++) {
        const char *kind = kinds[rng_below(&t->rng, ARRAY_SIZE(kinds))];
        unsigned count = 0;
        DIR *d = opendir(dir);
        if (d == NULL) {
            fault_die(dir, NULL);
        }
        for (struct dirent *e; (e = readdir(d)) != NULL && count < FILES_MAX;) {
            struct stat st;
            const char *path = arena_printf(&t->cluster.arena, "%s/%s", dir, e->d_name);
            if (strncmp(e->d_name, kind, strlen(kind)) == 0 && stat(path, &st) == 0 && st.st_size > 0) {
                found[count++] = path;
            }
        }
        closedir(d);
        if (count > 0) {
            return found[rng_below(&t->rng, count)];
        }
    }
    return NULL;
}

/* In the part that is in use: the tail of an open segment is zeros that nobody reads. */
static off_t used_bytes(int fd)
{
    static char bytes[65536];
    struct stat st;
    off_t used = 0;
    ssize_t n;
    if (fstat(fd, &st) != 0) {
        return 0;
    }
    for (off_t at = 0; (n = pread(fd, bytes, sizeof bytes, at)) > 0; at += n) {
        for (ssize_t i = n; i > 0; i--) {
            if (bytes[i - 1] != 0) {
                used = at + i;
                break;
            }
        }
    }
    return used;
}

static void flip(struct trial *t, const char *path, int fd, off_t used)
{
    off_t at = (off_t)rng_below(&t->rng, (uint64_t)used);
    uint8_t byte;
    if (pread(fd, &byte, 1, at) != 1) {
        fault_die(path, NULL);
    }
    byte ^= (uint8_t)(1u << rng_below(&t->rng, 8));
    if (pwrite(fd, &byte, 1, at) != 1) {
        fault_die(path, NULL);
    }
    trial_say(t, "a bit of %s turns at byte %lld of %lld", strrchr(path, '/') + 1, (long long)at, (long long)used);
}

static void damage_file(struct trial *t, unsigned i)
{
    const char *path = pick_file(t, raft_dir(t, i));
    if (path == NULL) {
        return;
    }
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t used = fd < 0 ? 0 : used_bytes(fd);
    uint64_t how = rng_below(&t->rng, 4);
    if (used == 0 || how == 0) {
        unlink(path);
        trial_say(t, "%s is gone", strrchr(path, '/') + 1);
    } else if (how == 1) {
        off_t left = (off_t)rng_below(&t->rng, (uint64_t)used);
        if (ftruncate(fd, left) != 0) {
            fault_die(path, NULL);
        }
        trial_say(t, "%s is cut to %lld bytes of %lld", strrchr(path, '/') + 1, (long long)left, (long long)used);
    } else {
        flip(t, path, fd, used);
    }
}

/* ---- Rows ---- */

static void go_down(struct trial *t, const char *what)
{
    char names[60];
    t->victims = nemesis_pick_some(t, nemesis_minority(t));
    trial_say(t, "%s: %s", what, nemesis_names(t->victims, names, sizeof names));
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (t->victims & 1u << i) {
            cluster_kill(&t->cluster, i);
        }
    }
}

static void start_damage(struct trial *t)
{
    go_down(t, "damage");
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (t->victims & 1u << i) {
            damage_file(t, i);
        }
    }
}

static void start_wipe(struct trial *t)
{
    go_down(t, "raft/ is gone");
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (t->victims & 1u << i) {
            fault_remove_tree(raft_dir(t, i));
        }
    }
}

static bool all_vote(struct trial *t)
{
    struct cluster_view v;
    int leader = cluster_leader(&t->cluster);
    return leader >= 0 && cluster_ask(&t->cluster, (unsigned)leader, &v) && v.voters == cluster_size(&t->cluster) &&
           v.members == v.voters;
}

/* The next may only be hurt when all vote again: more than a minority damaged is more than anybody can repair. */
static void come_back(struct trial *t)
{
    int64_t start_us = fault_now_us();
    if (t->victims == 0) {
        return;
    }
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (t->victims & 1u << i) {
            cluster_start(&t->cluster, i);
        }
    }
    t->victims = 0;
    while (!all_vote(t)) {
        if (fault_now_us() - start_us > BACK_MS * 1000) {
            trial_fail(t, "not all masters vote %d s after the start of the damaged ones", BACK_MS / 1000);
            return;
        }
        trial_wait(t, 50);
    }
    trial_say(t, "all vote after %lld ms", (long long)(fault_now_us() - start_us) / 1000);
}

static const struct nemesis damage = {
    .name = "damage",
    .about = "files of a minority damaged, cut or gone while it is down",
    .needs = NEED_SPARE | NEED_MAJORITY,
    .hold_min_ms = 100,
    .hold_max_ms = 1500,
    .start = start_damage,
    .stop = come_back,
};
static const struct nemesis wipe = {
    .name = "wipe",
    .about = "Raft's whole directory of a minority is gone",
    .needs = NEED_SPARE | NEED_MAJORITY,
    .hold_min_ms = 100,
    .hold_max_ms = 1500,
    .start = start_wipe,
    .stop = come_back,
};

const struct nemesis *const nemeses_damage[] = {&damage, &wipe, NULL};
