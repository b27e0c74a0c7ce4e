#include "master/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "base/failpoint.h"
#include "base/fs.h"
#include "base/mem.h"
#include "master/auth/setup.h"

#define PREFIX    "quarantine-"
#define NAMES_MAX 64u

struct names {
    char name[NAMES_MAX][64];
    unsigned count;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Oldest first: their names are times. */
static void list(const struct master_config *c, struct names *out)
{
    DIR *d = opendir(c->dir);
    out->count = 0;
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0 && strlen(e->d_name) < sizeof out->name[0] &&
            out->count < NAMES_MAX) {
            snprintf(out->name[out->count++], sizeof out->name[0], "%.63s", e->d_name);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    qsort(out->name, out->count, sizeof out->name[0], by_name);
}

static void prune(const struct master_config *c, const struct log *log)
{
    struct names names;
    list(c, &names);
    for (unsigned i = 0; i + QUARANTINES_MAX < names.count; i++) {
        struct error err = {0};
        log_info(log, "repair", "removing %s/%s: only the newest %u quarantined directories are kept", c->dir,
                 names.name[i], QUARANTINES_MAX);
        if (setup_remove_raft_dir(c, names.name[i], &err) != 0) {
            log_warn(log, "repair", "%s; tried again with the next one", err.message);
        }
    }
}

/* Two may be made within a second. */
static void free_name(const struct master_config *c, char *out, size_t size)
{
    char when[32];
    time_t now = (time_t)(env_wall_ms(env_real()) / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(out, size, "%s/" PREFIX "%s", c->dir, when);
    for (unsigned i = 2; access(out, F_OK) == 0 && i < 100; i++) {
        snprintf(out, size, "%s/" PREFIX "%s-%02u", c->dir, when, i);
    }
}

int quarantine_move(const struct master_config *c, const struct log *log, char *to, size_t size, struct error *err)
{
    char raft[600], fresh[700];
    master_config_path(c, "raft", raft, sizeof raft);
    free_name(c, fresh, sizeof fresh);
    if (to != NULL) {
        snprintf(to, size, "%s", "");
    }
    if (failpoint(FAILPOINT_quarantine_before_rename)) {
        return error_set(err, ERR_IO, "move %s aside: failed by a failpoint", raft);
    }
    if (rmdir(raft) != 0 && errno != ENOENT) { /* not empty */
        if (rename(raft, fresh) != 0) {
            return error_set_errno(err, errno, "move %s to %s", raft, fresh);
        }
        log_warn(log, "repair", "%s is kept as %s (at most %u such are; remove it when nobody needs it)", raft, fresh,
                 QUARANTINES_MAX);
        if (to != NULL) {
            snprintf(to, size, "%s", fresh);
        }
    }
    int rv = fs_sync_dir(c->dir);
    if (rv != 0) {
        return error_set_errno(err, rv, "sync %s", c->dir);
    }
    if (failpoint(FAILPOINT_quarantine_after_rename)) {
        return error_set(err, ERR_IO, "sync %s: failed by a failpoint", c->dir);
    }
    prune(c, log);
    return 0;
}

int64_t quarantine_newest_ms(const struct master_config *c)
{
    struct names names;
    struct tm tm = {0};
    list(c, &names);
    if (names.count == 0 || strptime(names.name[names.count - 1] + strlen(PREFIX), "%Y%m%dT%H%M%SZ", &tm) == NULL) {
        return 0;
    }
    return (int64_t)timegm(&tm) * 1000;
}

int quarantine_remove_all(const struct master_config *c, const struct log *log, struct error *err)
{
    struct names names;
    int rv = 0;
    list(c, &names);
    for (unsigned i = 0; i < names.count && rv == 0; i++) {
        rv = setup_remove_raft_dir(c, names.name[i], err);
        if (rv == 0) {
            log_warn(log, "repair", "removed %s/%s: the key that Secrets in it were sealed with is dropped", c->dir,
                     names.name[i]);
        }
    }
    return rv;
}
