#include "agent/pod/refs_kept.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "agent/util/fsutil.h"
#include "base/env.h"
#include "proto/pki/pki.h"

#define SUFFIX     ".ref"
#define NAME_SIZE  40 /* 32 digits, the suffix, NUL */
#define SEALED_MAX (OBJECT_SIZE_MAX * 2 + PKI_SEAL_OVERHEAD)

struct refs_kept {
    char *dir;
    const struct log *log;
    bool usable; /* there is a key */
    uint8_t key[PKI_SEAL_KEY_SIZE];
};

/* ---- Names ---- */

static void name_of(char out[NAME_SIZE], enum kind_id kind, struct str ns, struct str name)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_printf(&b, "%u/%.*s/%.*s", (unsigned)kind, STR_ARG(ns), STR_ARG(name));
    XXH128_hash_t h = XXH3_128bits(b.data, b.size);
    snprintf(out, NAME_SIZE, "%016" PRIx64 "%016" PRIx64 SUFFIX, (uint64_t)h.high64, (uint64_t)h.low64);
}

static void path_of(const struct refs_kept *k, const char *name, char out[FS_PATH_MAX])
{
    fs_path(out, FS_PATH_MAX, "%s/%s", k->dir, name);
}

/* ---- The key ---- */

static int read_key(struct refs_kept *k, const char *path, struct error *err)
{
    CLEANUP_BUF_WIPE struct buf b = BUF_INIT;
    if (!fs_exists(path)) {
        return ERR_NOT_FOUND;
    }
    int rc = fs_read_file(path, sizeof k->key, &b, err);
    if (rc == 0 && b.size != sizeof k->key) {
        rc = ERR_NOT_FOUND; /* cut short by a power cut or a full disk: so is all that it sealed */
    }
    if (rc == 0) {
        memcpy(k->key, b.data, sizeof k->key);
    }
    return rc;
}

static int make_key(struct refs_kept *k, const char *path, struct error *err)
{
    env_random(env_real(), k->key, sizeof k->key);
    return fs_write_file(path, (struct str){(const char *)k->key, sizeof k->key}, 0600, true, err);
}

struct refs_kept *refs_kept_open(const char *dir, const struct log *log)
{
    struct refs_kept *k = xcalloc(1, sizeof *k);
    struct error err = {0};
    char path[FS_PATH_MAX];
    k->dir = xstrdup(dir);
    k->log = log;
    path_of(k, "key", path);
    int rc = fs_make_private_dir(dir, &err);
    rc = rc != 0 ? rc : read_key(k, path, &err);
    rc = rc != ERR_NOT_FOUND ? rc : make_key(k, path, &err);
    k->usable = rc == 0;
    if (rc != 0) {
        log_warn(log, "pods", "ConfigMaps and Secrets are not kept for a start without masters: %s", err.message);
    }
    return k;
}

void refs_kept_close(struct refs_kept *k)
{
    if (k != NULL) {
        mem_wipe(k->key, sizeof k->key);
        free(k->dir);
        free(k);
    }
}

/* ---- Reading ---- */

static struct object *read_one(const struct refs_kept *k, const char *file, const char *path, struct error *err)
{
    CLEANUP_BUF struct buf sealed = BUF_INIT;
    CLEANUP_BUF_WIPE struct buf plain = BUF_INIT;
    struct object *o = NULL;
    char name[NAME_SIZE];
    int rc = fs_read_file(path, SEALED_MAX, &sealed, err);
    if (rc == 0 && pki_open(k->key, str_of(file), buf_str(&sealed), &plain) != 0) {
        rc = error_set(err, ERR_CORRUPT, "it is damaged");
    }
    rc = rc != 0 ? rc : object_from_wire(mp_of(plain.data, plain.size), &o, err);
    if (rc != 0) {
        return NULL;
    }
    name_of(name, o->kind->id, o->ns, o->name);
    if (strcmp(name, file) != 0) {
        error_set(err, ERR_CORRUPT, "it holds another object");
        object_unref(o);
        return NULL;
    }
    return o;
}

bool refs_kept_load(struct refs_kept *k, struct refs *r)
{
    char path[FS_PATH_MAX];
    bool all = true;
    DIR *dir = k->usable ? opendir(k->dir) : NULL;
    if (dir == NULL) {
        return false;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct error err = {0};
        if (!str_ends(str_of(d->d_name), STR(SUFFIX))) {
            continue;
        }
        path_of(k, d->d_name, path);
        struct object *o = read_one(k, d->d_name, path, &err);
        if (o == NULL) {
            log_warn(k->log, "pods", "what was kept in %s is passed over: %s", path, err.message);
            unlink(path);
            all = false;
            continue;
        }
        refs_put(r, o);
        object_unref(o);
    }
    closedir(dir);
    path_of(k, "whole", path);
    return all && fs_exists(path);
}

/* ---- Writing ---- */

void refs_kept_put(struct refs_kept *k, const struct object *o)
{
    CLEANUP_BUF struct buf sealed = BUF_INIT;
    CLEANUP_BUF_WIPE struct buf plain = BUF_INIT;
    struct error err = {0};
    char name[NAME_SIZE], path[FS_PATH_MAX];
    if (!k->usable || !o->kind->is_content) {
        return;
    }
    name_of(name, o->kind->id, o->ns, o->name);
    path_of(k, name, path);
    object_write_wire(&plain, o);
    int rc = pki_seal(k->key, str_of(name), buf_str(&plain), &sealed);
    rc =
        rc != 0 ? error_set(&err, rc, "it cannot be sealed") : fs_write_file(path, buf_str(&sealed), 0600, false, &err);
    if (rc != 0) {
        log_warn(k->log, "pods", "%s %.*s/%.*s is not kept for a start without masters: %s", o->kind->name,
                 STR_ARG(o->ns), STR_ARG(o->name), err.message);
        unlink(path); /* rather none than an old one */
    }
}

void refs_kept_delete(struct refs_kept *k, enum kind_id kind, struct str ns, struct str name)
{
    char file[NAME_SIZE], path[FS_PATH_MAX];
    name_of(file, kind, ns, name);
    path_of(k, file, path);
    if (unlink(path) != 0 && errno != ENOENT) {
        log_warn(k->log, "pods", "remove %s: %s", path, strerror(errno));
    }
}

void refs_kept_whole(struct refs_kept *k)
{
    struct error err = {0};
    char path[FS_PATH_MAX];
    path_of(k, "whole", path);
    if (k->usable && !fs_exists(path) && fs_write_file(path, STR_NONE, 0600, false, &err) != 0) {
        log_warn(k->log, "pods", "%s", err.message);
    }
}
